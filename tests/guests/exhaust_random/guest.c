/* Random bytes cost the host time and memory, and two workers must never draw the same. */
#include "wasi.h"

static area scratch;
static union { u32 w[8]; u64 d[4]; } result;

EXPORT("once") u64 once(u64 bytes) {
  random_bytes(bytes, &scratch);
  return scratch.w[1];
}

EXPORT("loop") void loop(void) {
  for (;;) {
    random_bytes(64 << 20, &scratch);
    release_all();
  }
}

EXPORT("sample") void *sample(void) {
  random_seed(&result.d[1]);
  random_bytes(16, &result.w[0]);
  return &result;
}
