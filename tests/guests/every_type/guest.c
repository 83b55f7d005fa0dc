/* Echoes. A value of one core value comes back as it came; any other is laid out in memory as the canonical ABI says. */
#include "wasi.h"

static area result;

EXPORT("echo-bool") s32 echo_bool(s32 x) { return x; }
EXPORT("echo-u8") s32 echo_u8(s32 x) { return x; }
EXPORT("echo-s8") s32 echo_s8(s32 x) { return x; }
EXPORT("echo-u16") s32 echo_u16(s32 x) { return x; }
EXPORT("echo-s16") s32 echo_s16(s32 x) { return x; }
EXPORT("echo-u32") s32 echo_u32(s32 x) { return x; }
EXPORT("echo-s32") s32 echo_s32(s32 x) { return x; }
EXPORT("echo-u64") s64 echo_u64(s64 x) { return x; }
EXPORT("echo-s64") s64 echo_s64(s64 x) { return x; }
EXPORT("echo-f32") float echo_f32(float x) { return x; }
EXPORT("echo-f64") double echo_f64(double x) { return x; }
EXPORT("echo-char") s32 echo_char(s32 x) { return x; }
EXPORT("echo-enum") s32 echo_enum(s32 x) { return x; }
EXPORT("echo-flags") s32 echo_flags(s32 x) { return x; }

/* A string, and a list of whatever: a pointer and a count. */
#define ECHO_LIST(name, function) \
  EXPORT(name) void *function(u32 at, u32 count) { result.w[0] = at; result.w[1] = count; return &result; }
ECHO_LIST("echo-string", echo_string)
ECHO_LIST("echo-bytes", echo_bytes)
ECHO_LIST("echo-strings", echo_strings)
ECHO_LIST("echo-lists", echo_lists)
ECHO_LIST("echo-points", echo_points)
ECHO_LIST("echo-shapes", echo_shapes)

EXPORT("echo-tuple") void *echo_tuple(s32 first, u32 at, u32 size) {
  result.w[0] = (u32)first;
  result.w[1] = at;
  result.w[2] = size;
  return &result;
}

/* point: x @0, y @4, label's tag @8, text @12 and @16. */
static void put_point(u32 *to, u32 x, u32 y, u32 tag, u32 at, u32 size) {
  to[0] = x, to[1] = y, to[2] = tag, to[3] = at, to[4] = size;
}

EXPORT("echo-record") void *echo_record(u32 x, u32 y, u32 tag, u32 at, u32 size) {
  put_point(result.w, x, y, tag, at, size);
  return &result;
}

enum { EMPTY, CIRCLE, SQUARE, NAMED, AT };

/* shape flattens to its tag, one i64 (f64, u32, pointer or x) and four i32; in memory its payload lies at 8. */
EXPORT("echo-variant") void *echo_variant(u32 tag, u64 first, u32 second, u32 third, u32 fourth, u32 fifth) {
  result.w[0] = tag;
  if (tag == CIRCLE) result.d[1] = first;
  else put_point(result.w + 2, (u32)first, second, third, fourth, fifth);
  return &result;
}

EXPORT("echo-option") void *echo_option(u32 tag, u32 x) {
  result.w[0] = tag;
  result.w[1] = x;
  return &result;
}

EXPORT("echo-nested-option") void *echo_nested_option(u32 outer, u32 inner, u32 x) {
  result.b[0] = (u8)outer;
  result.b[1] = (u8)inner;
  result.b[2] = (u8)x;
  return &result;
}

EXPORT("echo-result") void *echo_result(u32 tag, u32 first, u32 second) {
  u32 *one = take(12);
  one[0] = tag, one[1] = first, one[2] = second;
  result.w[0] = (u32)one;
  result.w[1] = 1;
  return &result;
}

EXPORT("finish") void *finish(u32 failing, u32 at, u32 size) {
  result.w[0] = failing;
  result.w[1] = at;
  result.w[2] = size;
  return &result;
}

EXPORT("nothing") void nothing(u32 a, u32 b_at, u32 b_size, u32 c_tag, u32 c) { (void)a, (void)b_at, (void)b_size, (void)c_tag, (void)c; }
