t=@TOKEN@; k=; n=; w=;
fail() { [ -z "$n" ] || rm -f "$n"; echo "$t FAIL $1"; exit 1; };
m=$(uname -sm);
case $m in
@IMAGES@
*) echo "$t PLATFORM $m"; exit 1;;
esac;
private() { [ "$k" ] || { k=$(umask); umask 077; }; };
own() {
[ -L "$d" ] && return 1;
set -- $(CDPATH=; cd "$d" 2>/dev/null && LS_BLOCK_SIZE=1 ls -ldn . "agent-$h" 2>/dev/null);
p=$1; o=$3; s=;
[ "$p" ] || return 1;
[ -O "$d" ] 2>/dev/null || [ "$o" = "$(id -u)" ] || return 1;
while [ "$5" ]; do case $1 in -*) s=$5; break;; esac; shift; done;
case $p in drwx------*) ;; *) chmod 700 "$d" 2>/dev/null;; esac;
};
valid() {
[ "$2" = $z ] && [ -f "$1" ] && [ -x "$1" ] || return 1;
c=$(b2sum <"$1" 2>/dev/null);
[ "$c" ] || c=$(sha256sum <"$1" 2>/dev/null);
case $c in "$b"*|"$h"*|"") ;; *) return 1;; esac;
};
start() { [ -z "$k" ] || umask "$k"; echo "$t HAVE"; exec "$f" @STAY@; };
for d in @FOLDERS@; do
case $d in *.rplay-) u=$(id -u); d=$d$u;; esac;
own || { private; mkdir -p "$d" 2>/dev/null; own; } || continue;
f=$d/agent-$h;
valid "$f" "$s" && start;
private;
n=$d/up-$t;
(: >"$n") 2>/dev/null && chmod 700 "$n" && [ -x "$n" ] || { rm -f "$n"; n=; continue; };
e=$(head -c $z /dev/zero 2>&1 >"$n") || { w="$w; $n: $e"; rm -f "$n"; n=; continue; };
echo "$t NEED $m";
e=$(head -c $z 2>&1 >"$n") || fail "cannot write $n: $e";
valid "$n" $(wc -c <"$n") || fail "$n is incomplete or damaged after the upload";
e=$(mv -f "$n" "$f" 2>&1) || fail "cannot rename $n: $e";
n=;
for o in $(ls -t "$d" | grep "^agent-" | tail -n +4); do rm -f "$d/$o"; done;
find "$d" -name "up-*" -mtime +1 -exec rm -f {} + 2>/dev/null;
start;
done;
fail "no folder can hold the agent (tried @TRIED@): not writable, not executable, full, or of another user$w"
