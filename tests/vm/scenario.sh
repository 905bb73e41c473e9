# Runs in the machine, as root, once it is up. What it prints is the test's: a word and a page's JSON.
set -u
exec 2>/dev/console

# Version 8.2 in one release is another in the next.
unit=$(basename /lib/systemd/system/php*-fpm.service)
pool=$(echo /etc/php/*/fpm/pool.d/www.conf)

limit() {
    mkdir -p "/etc/systemd/system/$unit.d"
    printf '[Service]\nMemoryMax=64M\nOOMPolicy=%s\n' "$1" >"/etc/systemd/system/$unit.d/test.conf"
    systemctl daemon-reload
    systemctl restart "$unit"
}

page() {
    curl -s -m 30 -H 'Accept: application/problem+json' http://127.0.0.1/eat.php
}

# Asks until the page says it of a unit in this state: the look may be late on a machine as slow as
# this, and one of a moment ago is shown until the next.
until_killed() {
    local said tries
    for tries in $(seq 40); do
        said=$(page)
        [[ $said == *'"root":"oom_killed"'* && $said == *"\"value\":\"$2\""* ]] && break
    done
    echo "$1 $said"
}

ip link set lo up
sed -i 's,^listen = .*,listen = /run/php/fpm.sock,; s,^pm = .*,pm = ondemand,' "$pool"
chmod 755 /usr/sbin/causeway
systemd-sysusers
systemctl daemon-reload
limit stop
systemctl start causeway
until_killed stop 'failed (failed)'
limit continue
until_killed continue 'active (running)'
journalctl -k --no-pager -o cat | grep -i 'oom' | tail -n 3 >/dev/console
echo end
