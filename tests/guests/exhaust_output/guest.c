/* Results of any size. */
#include "wasi.h"

static text result;

static void *filled(u32 bytes) {
  char *at = take(bytes);
  memset(at, 'a', bytes);
  result = (text){at, bytes};
  return &result;
}

EXPORT("text") void *give_text(u32 bytes) { return filled(bytes); }
EXPORT("bytes") void *give_bytes(u32 bytes) { return filled(bytes); }

EXPORT("items") void *give_items(u32 count) {
  void *at = take(count * sizeof(text));
  memset(at, 0, count * sizeof(text));
  result = (text){at, count};
  return &result;
}
