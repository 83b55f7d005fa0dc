/* memory.fill is one instruction, however much it fills. */
#include "wasi.h"

EXPORT("fill") void fill(u32 bytes) {
  u8 *all = take(bytes);
  for (u8 i = 0;; i++) memset(all, i, bytes);
}
