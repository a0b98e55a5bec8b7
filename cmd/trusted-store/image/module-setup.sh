#!/bin/bash
# The dracut module trusted-store: what makes the scratch stores of /etc/trusted-store.initrd.tab
# in an initrd. dracut calls these functions; --add trusted-store asks for it.

# What trusted-store.config has =y, by the names of modules. What a kernel has built in,
# or by another name, is left out.
modules="dm_mod dm_crypt dm_integrity loop ext4 aegis128 aes_generic authenc ecb hmac sha256_generic xts"
# Those that use a CPU's own instructions.
faster="aegis128_aesni aesni_intel sha256_ssse3 aes_ce_blk aes_s390 paes_s390"

check() {
	require_binaries trusted-store || return 1
	return 255 # only when it is asked for
}

depends() {
	echo systemd
}

installkernel() {
	# shellcheck disable=SC2086
	hostonly='' instmods $modules $faster
}

install() {
	inst_multiple trusted-store
	# An initrd has a table of its own: its stores outlast it where they lie below /run.
	[ ! -f /etc/trusted-store.initrd.tab ] || inst_simple /etc/trusted-store.initrd.tab /etc/trusted-store.tab
	# shellcheck disable=SC2154 # dracut's
	inst_multiple "$systemdsystemunitdir/trusted-store@.service" "$systemdsystemunitdir/trusted-store-tab.service" \
		"${systemdutildir:?}/system-generators/trusted-store-generator"
}
