/* Every trap that a core module can raise on purpose, and results that lie. */
#include "wasi.h"

static u32 result[2];

EXPORT("unreachable") void unreachable(void) { __builtin_trap(); }
EXPORT("divide") u32 divide(u32 by) { return 1000 / by; }
EXPORT("out-of-bounds") u32 out_of_bounds(void) { return *(volatile u32 *)0xfffffff0u; }

__attribute__((noinline)) static u64 deeper(u64 depth) {
  volatile u64 kept[4] = {depth, depth, depth, depth};
  return depth ? deeper(depth - 1) + kept[depth & 3] : 0;
}
EXPORT("recurse") u64 recurse(u64 depth) { return deeper(depth); }

EXPORT("bad-string") void *bad_string(void) {
  result[0] = 0xfffffff0u;
  result[1] = 4096;
  return result;
}

EXPORT("fine") u32 fine(u32 value) { return value; }
