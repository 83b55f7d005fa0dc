/* Never gives the processor back. */
#include "wasi.h"

EXPORT("spin") void spin(void) {
  for (volatile u32 i = 0;; i++) {}
}

EXPORT("work") u64 work(u64 rounds) {
  u64 x = 1;
  for (u64 i = 0; i < rounds; i++) x = x * 6364136223846793005ull + 1442695040888963407ull;
  return x;
}
