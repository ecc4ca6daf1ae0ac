#!/bin/bash
# The schema of SARIF 2.1.0 and a validator, out of the npm package @microsoft/jest-sarif, prepared once:
#
#     sarif.sh FOLDER
#
# prints a program, kept below FOLDER, that reads a SARIF file from standard input and tells what is not as the schema has it.
set -eu
folder=$1/sarif
program=$folder/validate.js
if [ ! -x "$program" ]; then
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --loglevel error @microsoft/jest-sarif@1.0.0-beta.0 >&2
    cat >"$program" <<'END'
#!/usr/bin/env node
const Ajv = require('ajv');
const checks = new Ajv({ schemaId: 'auto', allErrors: true });
checks.addMetaSchema(require('ajv/lib/refs/json-schema-draft-04.json'));
const valid = checks.compile(require('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'));
if (!valid(JSON.parse(require('fs').readFileSync(0, 'utf8')))) {
    for (const one of valid.errors) console.log(`${one.dataPath} ${one.message}`);
    process.exit(1);
}
END
    chmod +x "$program"
fi
echo "$program"
