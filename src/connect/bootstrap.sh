k=$(umask); umask 077;
t=@TOKEN@; n=; w=;
fail() { [ -z "$n" ] || rm -f "$n"; echo "$t FAIL $1"; exit 1; };
m=$(uname -sm);
case $m in
@IMAGES@
*) echo "$t PLATFORM $m"; exit 1;;
esac;
u=$(id -u);
usable() {
mkdir -p "$1" 2>/dev/null;
set -- "$1" $(ls -ldn "$1" 2>/dev/null);
case $2 in d*) ;; *) return 1;; esac;
[ "$4" = "$u" ] && chmod 700 "$1" 2>/dev/null;
};
valid() {
[ -f "$1" ] && [ -x "$1" ] && [ "$(wc -c <"$1")" -eq $z ] || return 1;
case $({ b2sum <"$1" || sha256sum <"$1"; } 2>/dev/null) in "$b"*|"$h"*|"") ;; *) return 1;; esac;
};
for d in @FOLDERS@; do
usable "$d" || continue;
f=$d/agent-$h;
if valid "$f"; then echo "$t HAVE"; umask "$k"; exec "$f" @STAY@; fi;
n=$d/up-$t;
(: >"$n") 2>/dev/null && chmod 700 "$n" && [ -x "$n" ] || { rm -f "$n"; n=; continue; };
e=$(head -c $z /dev/zero 2>&1 >"$n") || { w="$w; $n: $e"; rm -f "$n"; n=; continue; };
echo "$t NEED $m";
e=$(head -c $z 2>&1 >"$n") || fail "cannot write $n: $e";
valid "$n" || fail "$n is incomplete or damaged after the upload";
e=$(mv -f "$n" "$f" 2>&1) || fail "cannot rename $n: $e";
n=;
for o in $(ls -t "$d" | grep "^agent-" | tail -n +4); do rm -f "$d/$o"; done;
find "$d" -name "up-*" -mtime +1 -exec rm -f {} + 2>/dev/null;
echo "$t HAVE"; umask "$k"; exec "$f" @STAY@;
done;
fail "no folder can hold the agent (tried @TRIED@): not writable, not executable, full, or of another user$w"
