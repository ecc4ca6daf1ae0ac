# The hundred tasks of files.yml, by a call of `$ssh` each.
set -eu
# write TEXT PATH MODE
write() {
    printf '%s' "$1" | $ssh "cat >$2.new && chmod $3 $2.new && mv $2.new $2"
}
part=1
while [ $part -le 25 ]; do
    folder=$out/$part
    $ssh "mkdir -p $folder && chmod 750 $folder"
    write "part $part of the play
" "$folder/text" 640
    text="# $part
name=part-$(printf %03d $part)
"
    for port in 8000 8001 8002 8003 8004; do
        text="${text}listen=127.0.0.1:$((port + part))
"
    done
    write "$text" "$folder/service.conf" 644
    $ssh "grep -q ^workers= $folder/settings 2>/dev/null || echo workers=$((part * 2)) >>$folder/settings; chmod 600 $folder/settings"
    part=$((part + 1))
done
