# shellcheck shell=bash
# The target wasm32v1-none for the runtime. Two ways:
#   rustup  the default toolchain has the target, or `rustup target add` can download it;
#   debian  Debian's rustc-web (with its library's source): core and alloc are compiled once into a private toolchain in
#           the cache, known to rustup as llmesh-wasm. Nothing is written below /usr; native code stays on the default one.
# `toolchain-name` tells env.sh which of the two it is: it holds llmesh-wasm, or nothing.

WASM_TARGET=wasm32v1-none
WASM_TOOLCHAIN=llmesh-wasm
WASM_RECIPE=1 # raise it when what is built below changes

# The commands of this step run without what a user's shell may add to every Rust build.
clean_cargo() {
	env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u RUSTC_WRAPPER -u RUSTUP_TOOLCHAIN "$@"
}

wasm_in_default_toolchain() {
	[[ -n $(compgen -G "$1/lib/rustlib/$WASM_TARGET/lib/libcore-*.rlib" || true) ]]
}

# verify_wasm COMMAND...: what substrate-wasm-builder does, in small: a no_std cdylib with alloc, a release build, fat LTO.
verify_wasm() {
	local dir out
	dir=$(scratch)
	mkdir "$dir/src"
	cat >"$dir/Cargo.toml" <<-'EOF'
		[package]
		name = "probe"
		version = "0.0.0"
		edition = "2021"
		[lib]
		crate-type = ["cdylib"]
		[profile.release]
		lto = "fat"
		panic = "abort"
		[workspace]
	EOF
	cat >"$dir/src/lib.rs" <<-'EOF'
		#![no_std]
		extern crate alloc;
		use core::alloc::{GlobalAlloc, Layout};
		struct NoMemory;
		unsafe impl GlobalAlloc for NoMemory {
			unsafe fn alloc(&self, _: Layout) -> *mut u8 { core::ptr::null_mut() }
			unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
		}
		#[global_allocator]
		static ALLOCATOR: NoMemory = NoMemory;
		#[panic_handler]
		fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
		#[no_mangle]
		pub extern "C" fn probe(n: u32) -> u32 { (0..n).collect::<alloc::vec::Vec<_>>().into_iter().sum() }
	EOF
	logged "the Wasm toolchain does not build a test crate" \
		"remove $LLMESH_CACHE/wasm and run this again; the log says what the compiler did not like" \
		clean_cargo -C "$dir" "$@" build --offline --release --target "$WASM_TARGET" --target-dir "$dir/target"
	out="$dir/target/$WASM_TARGET/release/probe.wasm"
	[[ -s $out ]] || die "the Wasm toolchain gave no file" "see the log in $LLMESH_CACHE/logs"
	rm -rf "$dir"
}

# set_wasm NAME STAMP: record which toolchain builds Wasm.
set_wasm() {
	mkdir -p "$LLMESH_CACHE/wasm"
	printf '%s' "$1" >"$LLMESH_CACHE/wasm/toolchain-name.new"
	mv -f "$LLMESH_CACHE/wasm/toolchain-name.new" "$LLMESH_CACHE/wasm/toolchain-name"
	stamp wasm "$2"
}

# Debian's compiler may be there under two roofs: it must be the one with its library's source.
debian_rust_key() {
	local key
	[[ -x /usr/bin/rustc && -x /usr/bin/cargo && -e /usr/lib/rustlib/src/rust/library/core/Cargo.toml ]] || return 1
	key=$(/usr/bin/rustc --version) || return 1
	printf 'debian recipe %s: %s; lld of %s' "$WASM_RECIPE" "$key" "$1"
}

debian_toolchain_is_linked() {
	[[ "${RUSTUP_HOME:-$HOME/.rustup}/toolchains/$WASM_TOOLCHAIN" -ef $LLMESH_CACHE/wasm/toolchain ]]
}

# build_debian_toolchain HOST DEFAULT_SYSROOT
build_debian_toolchain() {
	local host=$1 lld="$2/lib/rustlib/$1/bin/rust-lld" tmp tc libs
	[[ -x $lld ]] || die "no rust-lld in the default toolchain" "reinstall it: rustup toolchain install stable"
	tmp=$(scratch)
	tc="$tmp/toolchain"
	libs="$tc/lib/rustlib/$WASM_TARGET/lib"
	mkdir -p "$tc/bin" "$tc/lib/rustlib/$host/bin" "$libs" "$tmp/src"
	ln -s /usr/bin/cargo "$tc/bin/cargo"
	# A symlink would not do: rustc finds its library from where its real file is.
	# shellcheck disable=SC2016 # the wrapper expands it, not we
	printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot "${0%%/bin/rustc}" "$@"\n' >"$tc/bin/rustc"
	chmod +x "$tc/bin/rustc"
	ln -s "/usr/lib/rustlib/$host/lib" "$tc/lib/rustlib/$host/lib"
	ln -s /usr/lib/rustlib/src "$tc/lib/rustlib/src"
	ln -s "$lld" "$tc/lib/rustlib/$host/bin/rust-lld"

	# Cargo builds core and alloc as dependencies of an empty crate; LTO needs their bitcode.
	cat >"$tmp/Cargo.toml" <<-'EOF'
		[package]
		name = "wasm-library"
		version = "0.0.0"
		edition = "2021"
		[workspace]
	EOF
	printf '#![no_std]\nextern crate alloc;\npub use alloc::vec::Vec;\n' >"$tmp/src/lib.rs"
	logged "cannot compile Rust's core library for $WASM_TARGET" \
		"run \`rustup target add $WASM_TARGET\` where it can download, then run this again" \
		clean_cargo -C "$tmp" RUSTFLAGS=-Cembed-bitcode=yes RUSTC_BOOTSTRAP=1 RUSTC="$tc/bin/rustc" \
		"$tc/bin/cargo" build -Zbuild-std=core,alloc --release --target "$WASM_TARGET" --target-dir "$tmp/target"
	cp "$tmp/target/$WASM_TARGET/release/deps"/lib{core,alloc,compiler_builtins}-*.rlib "$libs/"

	rm -rf "$LLMESH_CACHE/wasm/toolchain"
	mv -T "$tc" "$LLMESH_CACHE/wasm/toolchain"
	rm -rf "$tmp"
}

step_wasm() {
	local host sysroot key way=$LLMESH_WASM
	host=$(cd "$LLMESH_ROOT" && rustc -vV | sed -n 's/^host: //p')
	sysroot=$(cd "$LLMESH_ROOT" && rustc --print sysroot)
	mkdir -p "$LLMESH_CACHE/wasm" "$LLMESH_CACHE/logs"

	if [[ $way != debian ]]; then
		key="rustup ${sysroot##*/}"
		if ! wasm_in_default_toolchain "$sysroot"; then
			# A working private toolchain is kept: no download is tried on every run.
			if [[ $way == auto ]] && key=$(debian_rust_key "$sysroot") && stamped wasm "$key" && debian_toolchain_is_linked; then
				say "ok ($WASM_TARGET in the private toolchain $WASM_TOOLCHAIN)"
				return
			fi
			key="rustup ${sysroot##*/}"
			say "rustup target add $WASM_TARGET"
			(cd "$LLMESH_ROOT" && timeout 60 rustup target add "$WASM_TARGET") >>"$LLMESH_CACHE/logs/wasm.log" 2>&1 </dev/null || true
		fi
		if wasm_in_default_toolchain "$sysroot"; then
			if ! stamped wasm "$key" || [[ ! -e $LLMESH_CACHE/wasm/toolchain-name ]]; then
				verify_wasm RUSTC="$sysroot/bin/rustc" "$sysroot/bin/cargo"
				set_wasm '' "$key"
			fi
			say "ok ($WASM_TARGET of ${sysroot##*/})"
			return
		fi
		[[ $way == auto ]] ||
			die "rustup could not add $WASM_TARGET" "run \`rustup target add $WASM_TARGET\` and see what it says"
		say "rustup can not download here: building a private toolchain from Debian's rustc-web"
	fi

	if ! key=$(debian_rust_key "$sysroot"); then
		command -v apt-get >/dev/null ||
			die "no $WASM_TARGET target" "run \`rustup target add $WASM_TARGET\` where it can download, then run this again"
		apt_install rustc-web cargo-web rust-web-src
		key=$(debian_rust_key "$sysroot") ||
			die "Debian's rustc-web is not usable" "run \`rustup target add $WASM_TARGET\` where it can download, then run this again"
	fi
	if ! stamped wasm "$key" || ! debian_toolchain_is_linked || [[ ! -x $LLMESH_CACHE/wasm/toolchain/bin/rustc ]]; then
		if ! stamped wasm-library "$key" || [[ ! -x $LLMESH_CACHE/wasm/toolchain/bin/rustc ]]; then
			say "compiling core and alloc for $WASM_TARGET (about half a minute)"
			build_debian_toolchain "$host" "$sysroot"
			stamp wasm-library "$key"
		fi
		logged "rustup does not take the private toolchain" "see what \`rustup toolchain list\` says" \
			rustup toolchain link "$WASM_TOOLCHAIN" "$LLMESH_CACHE/wasm/toolchain"
		verify_wasm cargo "+$WASM_TOOLCHAIN"
		set_wasm "$WASM_TOOLCHAIN" "$key"
	fi
	say "ok ($WASM_TARGET in the private toolchain $WASM_TOOLCHAIN)"
}
