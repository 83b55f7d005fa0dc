/* Short texts that are remembered from one call to the next, in the host's key-value store.

   Decides how long a text may be and what an error says; how much is kept in all is the policy's to say. World: wit/world.wit.
   Build: `make -C components/remember`. */
#include "wasi.h"

#define STORE(function) __attribute__((import_module("wasi:keyvalue/store@0.2.0-draft"), import_name(function)))

STORE("open") void kv_open(const char *name, u32 length, void *ret);
STORE("[method]bucket.get") void kv_get(s32 self, const char *key, u32 length, void *ret);
STORE("[method]bucket.set") void kv_set(s32 self, const char *key, u32 length, const void *value, u32 size, void *ret);
STORE("[method]bucket.delete") void kv_delete(s32 self, const char *key, u32 length, void *ret);
STORE("[method]bucket.exists") void kv_exists(s32 self, const char *key, u32 length, void *ret);
STORE("[method]bucket.list-keys") void kv_keys(s32 self, s32 has_cursor, s64 cursor, void *ret);
STORE("[resource-drop]bucket") void kv_drop(s32 self);

enum { LONGEST = 64 << 10 };
static const char BUCKET[] = "texts";
static area answer, result;

static void *fails(text why) {
  result.b[0] = 1;
  *(text *)(result.b + 4) = why;
  return &result;
}

/* What the store says of an error, whose case lies at `at` of its answer. */
static void *refused(u32 at) {
  text said = answer.b[at] == 2 ? *(text *)(answer.b + at + 4) : T(answer.b[at] ? "this component has no store" : "there is no such store");
  return fails(join(T("cannot: "), said));
}

/* The bucket, or -1 with the result that says why. */
static s32 opened(void) {
  kv_open(BUCKET, sizeof BUCKET - 1, &answer);
  if (!answer.b[0]) return (s32)answer.w[1];
  refused(4);
  return -1;
}

EXPORT("remember") void *tool_remember(const char *name, u32 length, const char *at, u32 size) {
  if (!length) return fails(T("a text needs a name"));
  if (size > LONGEST) return fails(T("a text has at most 65536 bytes"));
  s32 bucket = opened();
  if (bucket < 0) return &result;
  kv_set(bucket, name, length, at, size, &answer);
  kv_drop(bucket);
  if (answer.b[0]) return refused(4);
  result.b[0] = 0;
  return &result;
}

EXPORT("recall") void *tool_recall(const char *name, u32 length) {
  s32 bucket = opened();
  if (bucket < 0) return &result;
  kv_get(bucket, name, length, &answer);
  kv_drop(bucket);
  if (answer.b[0]) return refused(4);
  result.b[0] = 0;
  result.b[4] = answer.b[4];
  *(text *)(result.b + 8) = *(text *)(answer.b + 8);
  return &result;
}

EXPORT("forget") void *tool_forget(const char *name, u32 length) {
  s32 bucket = opened();
  if (bucket < 0) return &result;
  kv_exists(bucket, name, length, &answer);
  u8 there = answer.b[4];
  if (!answer.b[0]) kv_delete(bucket, name, length, &answer);
  kv_drop(bucket);
  if (answer.b[0]) return refused(4);
  result.b[0] = 0;
  result.b[4] = there;
  return &result;
}

EXPORT("names") void *tool_names(void) {
  list all = {0};
  s32 bucket = opened(), more = 0;
  s64 cursor = 0;
  if (bucket < 0) return &result;
  do {
    kv_keys(bucket, more, cursor, &answer);
    if (answer.b[0]) break;
    text *keys = (text *)answer.w[2];
    for (u32 i = 0; i < answer.w[3]; i++) *(text *)push(&all, sizeof(text)) = keys[i];
    more = answer.b[16], cursor = (s64)answer.d[3];
  } while (more);
  kv_drop(bucket);
  if (answer.b[0]) return refused(8);
  result.b[0] = 0;
  result.w[1] = (u32)all.at;
  result.w[2] = all.count;
  return &result;
}

RELEASES("remember") post_remember(void *r) { (void)r, release_all(); }
RELEASES("recall") post_recall(void *r) { (void)r, release_all(); }
RELEASES("forget") post_forget(void *r) { (void)r, release_all(); }
RELEASES("names") post_names(void *r) { (void)r, release_all(); }
