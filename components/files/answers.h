/* What the tools answer with: an error that says what to do, or nothing but that it is done. */
#pragma once
#include "paths.h"

/* What a person does about an error; the host adds the command that grants, where it refused. */
static text advised(text why) {
  if (same(why, T("is-directory"))) return T("is-directory: `list` shows what is in it");
  if (same(why, T("not-directory"))) return T("not-directory: a name before the last is a file");
  if (same(why, T("not-empty"))) return T("not-empty: remove what is in it first");
  if (same(why, T("exist"))) return T("exist: something is there already");
  if (same(why, T("illegal-byte-sequence"))) return T("illegal-byte-sequence: not UTF-8 text");
  return why;
}
static void *refuse(u32 at, const char *verb, text path, text why) { return fails(at, cannot(verb, path, advised(why))); }

/* The `ok` of a `result<_, string>`. */
static void *done(void) {
  result.b[0] = 0;
  return &result;
}

static int holds(text t, char c) {
  for (u32 i = 0; i < t.size; i++)
    if (t.at[i] == c) return 1;
  return 0;
}
