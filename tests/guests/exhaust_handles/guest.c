/* Every handle is memory of the host's. */
#include "wasi.h"

WASI("http/types", "[constructor]fields") s32 fields_new(void);

EXPORT("pollables") u32 pollables(u32 most) {
  u32 made = 0;
  for (; made < most; made++) clock_after(~0ull >> 1);
  return made;
}

EXPORT("fields") u32 fields(u32 most) {
  u32 made = 0;
  for (; made < most; made++) fields_new();
  return made;
}
