# The task of one.yml, by a call of `$ssh`.
set -eu
$ssh "mkdir -p $out/1 && chmod 750 $out/1"
