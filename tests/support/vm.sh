#!/usr/bin/env bash
# A machine of its own, for what a container cannot show since it shares this host's kernel: a limit
# of memory, and what the kernel does about it. In software alone, since the processor's help may be
# offered here and half there, which ends the emulator. tests/vm drives it. Needs root.
#
#   vm.sh make                  makes kernel, first file system and disk once, and prints the folder
#   vm.sh run FOLDER TAR OUT    boots with the files of TAR in place and runs its /etc/vm-test; what
#                               that prints lands in OUT. Ends with the machine, which powers off
set -euo pipefail

cache=${CAUSEWAY_TEST_CACHE:-/var/cache/causeway-tests}
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# In the order in which they are loaded; what they need is found.
modules="virtio_pci virtio_blk virtio-rng ext4 dm_mod tcp_diag unix_diag"
memory_mib=1024
# Some 100 s without the processor's help, where nobody else works; a machine that hangs is ended.
run_seconds=${CAUSEWAY_VM_SECONDS:-700}

main() {
    local what=${1-}
    shift || true
    (( EUID == 0 )) || die "needs root"
    case $what in
        make) make ;;
        run) run "$@" ;;
        *) die "usage: vm.sh make | run FOLDER TAR OUT" ;;
    esac
}

die() {
    echo "vm: $*" >&2
    exit 1
}

make() {
    local root folder kernel
    root=$("$here/sandbox.sh" make)
    # The kernel is whichever is newest when it is made.
    folder=$cache/vm-$({ echo "$root $modules"; declare -f make first_files unit; } |
        sha256sum | cut -c 1-12)
    exec 9>"$cache/lock"
    flock 9
    if [[ ! -e $folder ]]; then
        work=$(mktemp -d /dev/shm/causeway-vm.XXXXXX)
        trap "rm -rf --one-file-system '$work' '$folder.part'" EXIT
        rm -rf --one-file-system "$folder.part"
        mkdir -p "$folder.part" "$work/debs" "$work/first"/{bin,lib,dev,root}
        kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
        [[ -n $kernel ]] || die "no linux-image-cloud-amd64: apt-get update"
        (
            cd "$work/debs"
            apt-get download -q -o APT::Sandbox::User=root "$kernel" busybox-static >&2
        )
        for deb in "$work"/debs/*.deb; do
            dpkg-deb -x "$deb" "$work/debs"
        done
        first_files "$work" "${kernel#linux-image-}"
        (cd "$work/first" && find . | cpio -o -H newc --quiet -R 0:0) >"$folder.part/initrd"
        cp "$work/debs/boot/vmlinuz-${kernel#linux-image-}" "$folder.part/vmlinuz"
        cp -a "$root" "$work/root"
        unit "$work/root"
        truncate -s 512M "$folder.part/spare"
        truncate -s 2G "$folder.part/disk"
        mkfs.ext4 -q -F -O ^has_journal -d "$work/root" "$folder.part/disk"
        mv "$folder.part" "$folder"
    fi
    echo "$folder"
}

# What the kernel starts with: it loads drivers, unpacks the test's files and hands over to systemd.
first_files() {
    local work=$1 version=$2 module
    cp "$work/debs/bin/busybox" "$work/first/bin/"
    depmod -b "$work/debs" "$version"
    for module in $modules; do
        modprobe -d "$work/debs" -S "$version" --show-depends "$module"
    done | awk '/^insmod/ && !seen[$2]++ { print $2 }' | while read -r module; do
        cp "$module" "$work/first/lib/"
        basename "$module" >>"$work/first/modules"
    done
    cat >"$work/first/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules); do $b insmod /lib/$module; done
$b mount -t ext4 -o rw,noatime /dev/vda /root && $b tar -xf /dev/vdb -C /root || $b poweroff -f
$b mount --move /dev /root/dev
exec $b switch_root /root /sbin/init
INIT
    chmod 755 "$work/first/init"
}

# Runs the test's script once all else is up, and ends the machine.
unit() {
    cat >"$1/etc/systemd/system/vm-test.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/bin/bash /etc/vm-test
StandardOutput=file:/dev/ttyS1
StandardError=inherit
TimeoutStartSec=infinity
UNIT
    ln -s ../vm-test.service "$1/etc/systemd/system/multi-user.target.wants/"
}

run() {
    local folder=$1 files=$2 out=$3
    command -v qemu-system-x86_64 >/dev/null || die "no qemu: apt-get install qemu-system-x86"
    exec timeout --kill-after=5 "$run_seconds" qemu-system-x86_64 \
        -accel tcg,thread=multi -M pc -cpu max -smp 2 -m "$memory_mib" \
        -nodefaults -no-user-config -display none -no-reboot -nic none \
        -kernel "$folder/vmlinuz" -initrd "$folder/initrd" \
        -append "console=ttyS0 quiet panic=-1 psi=1 mitigations=off systemd.show_status=0" \
        -drive "file=$folder/disk,format=raw,if=virtio,snapshot=on" \
        -drive "file=$files,format=raw,if=virtio,readonly=on" \
        -drive "file=$folder/spare,format=raw,if=virtio,snapshot=on" \
        -device virtio-rng-pci -serial "file:$out.console" -serial "file:$out" </dev/null
}

main "$@"
