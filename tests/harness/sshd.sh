#!/bin/sh
# Starts an SSH server on 127.0.0.1 with a host key, a configuration and keys of its own, as another
# login user. Needs root, openssh-server and sudo.
#
# usage: sshd.sh start FOLDER     prints `PORT`; FOLDER gets client keys, known_hosts and the log
#        sshd.sh stop FOLDER
#
# $KBD is `yes` for keyboard-interactive logins; lines of $SSHD_CONFIG win over the configuration below.
#
# The user `rplaytest` (password `rplaytest`) is made if it is missing. It may use sudo with its
# password, and as `rplayfree` without one; `rplayfree` may become everybody without a password.
set -eu
folder=$2
user() {
    id "$1" >/dev/null 2>&1 || useradd -m -s /bin/bash "$1"
    echo "$1:$1" | chpasswd
}
case $1 in
start)
    mkdir -p "$folder"
    chmod 755 "$folder"
    # One at a time: useradd looks for the name before it takes its lock, so two at once would both make the user.
    (
        flock 8
        user rplaytest
        user rplayfree
    ) 8>/run/rplay-test-users
    printf '%s\n' 'rplaytest ALL=(ALL) ALL' 'rplaytest ALL=(rplayfree) NOPASSWD: ALL' \
        'rplayfree ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/rplaytest
    chmod 440 /etc/sudoers.d/rplaytest
    for kind in ed25519 ecdsa rsa; do
        ssh-keygen -q -t $kind -N '' -f "$folder/id_$kind"
        cat "$folder/id_$kind.pub" >>"$folder/authorized_keys"
    done
    ssh-keygen -q -t ed25519 -N secret -f "$folder/id_locked"
    cat "$folder/id_locked.pub" >>"$folder/authorized_keys"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/id_stranger"
    # A key that is known by its certificate only.
    ssh-keygen -q -t ed25519 -N '' -f "$folder/id_signed"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/user_ca"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/host_ed25519"
    ssh-keygen -q -t ecdsa -N '' -f "$folder/host_ecdsa"
    chmod 644 "$folder/authorized_keys"
    mkdir -p /run/sshd
    # Newer servers punish an address for connections that break.
    penalties='PerSourcePenalties no'
    /usr/sbin/sshd -G -o "$penalties" >/dev/null 2>&1 || penalties=
    for try in 1 2 3 4 5; do
        # Below those that the system gives to clients.
        port=$(awk 'BEGIN { srand(); print int(20000 + rand() * 11000) }')
        port=$((port + $$ % 1000 + try))
        cat >"$folder/sshd_config" <<END
${SSHD_CONFIG:-}
$penalties
Port $port
ListenAddress 127.0.0.1
HostKey $folder/host_ed25519
HostKey $folder/host_ecdsa
PidFile $folder/pid
AuthorizedKeysFile $folder/authorized_keys
PasswordAuthentication yes
KbdInteractiveAuthentication ${KBD:-no}
UsePAM yes
AcceptEnv LANG LC_*
Ciphers +aes256-cbc
TrustedUserCAKeys $folder/user_ca.pub
StrictModes no
MaxAuthTries 20
Subsystem sftp internal-sftp
END
        # It goes to the background before it listens, and writes its number afterwards.
        /usr/sbin/sshd -f "$folder/sshd_config" -E "$folder/log" || continue
        for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            [ -s "$folder/pid" ] && break 2
            sleep 0.1
        done
    done
    [ -s "$folder/pid" ] || { cat "$folder/log" >&2; exit 1; }
    echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$folder/host_ed25519.pub")" >"$folder/known_hosts"
    echo "$port"
    ;;
stop)
    kill "$(cat "$folder/pid")"
    ;;
esac
