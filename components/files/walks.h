/* The two walks of a tree: search in its texts, find by name. */
#pragma once
#include "answers.h"
#include "search.h"

/* `stopped: option<string>` at one place and `next`, whose payload begins with a path, at another. */
static void walked(const walk *w, u32 stopped_at, u32 next_at, u32 path_at) {
  option_at(stopped_at, w->stopped.size != 0, (u32)w->stopped.at);
  *(u32 *)(result.b + stopped_at + 8) = w->stopped.size;
  result.b[next_at] = w->next.at != 0;
  *(text *)(result.b + path_at) = w->next;
}

/* The walk below an open directory, or the visit of one open file. */
static int search_at(walk *w, s32 handle, text path, text resume, text *why) {
  u8 kind;
  u64 size;
  if (!measure(handle, &kind, &size, why)) return 0;
  if (kind == KIND_DIRECTORY) return walk_tree(w, handle, path, remainder_of(resume, path), 0), 1;
  if (!search_file(handle, path, same(resume, path), why)) return 0;
  w->files = 1;
  if (look.full) w->stopped = why_full(), w->next = keep_last(path);
  return 1;
}

EXPORT("search")
void *tool_search(const char *at, u32 size, const char *needle_from, u32 needle_size, s32 has_name, const char *name_at, u32 name_size,
                  s32 has_case, s32 ignore_case, s32 has_most, u32 most, s32 has_resume, const char *resume_at, u32 resume_size, u32 resume_line,
                  u64 resume_offset) {
  text path = {at, size}, why;
  walk w = {.visit = visit_file};
  look.needle = (text){needle_from, needle_size}, look.name = (text){name_at, has_name ? name_size : 0};
  look.ignore_case = has_case && ignore_case, look.most = has_most ? most : 200;
  look.resume_line = resume_line, look.resume_offset = resume_offset, look.count = 0, look.full = look.late = 0, kept_size = 0;
  if (!needle_size || needle_size > NEEDLE_MOST) return refuse(8, "search", path, T("invalid: `needle` has 1 to 4096 bytes"));
  if (holds(look.needle, '\n')) return refuse(8, "search", path, T("invalid: `needle` is part of one line"));
  if (!look.most || look.most > MATCHES) return refuse(8, "search", path, T("invalid: `most` is 1 to 1000"));
  hurry(WALK_MS);
  s32 handle = open_path(path, 0, FLAG_READ, &why);
  if (handle < 0) return refuse(8, "search", path, why);
  int whole = search_at(&w, handle, path.size ? path : T("/"), (text){resume_at, has_resume ? resume_size : 0}, &why);
  fs_drop(handle);
  if (!whole) return refuse(8, "search", path, why);
  gives(8, look.all, look.count);
  result.w[4] = w.files, result.w[5] = w.skipped;
  walked(&w, 24, 40, 48);
  result.w[14] = look.full ? look.line - 1 : 0;
  result.d[8] = look.full ? look.line_offset : 0;
  return &result;
}

typedef struct { text path; u8 kind; } located;
enum { NAMES = 2000 };
static located names[NAMES];
static u32 names_count, names_most;
static text pattern;

static void visit_name(walk *w, s32 directory, text path, entry one, int again) {
  (void)directory;
  (void)again;
  if (!fits(one.name, pattern)) return;
  text kept_path = names_count < names_most ? keep(path) : (text){0, 0};
  if (kept_path.at) {
    names[names_count++] = (located){kept_path, one.kind};
    return;
  }
  w->stopped = names_count == names_most ? T("`most` was reached") : T("the answer is full");
  w->next = keep_last(path);
}

EXPORT("find")
void *tool_find(const char *at, u32 size, const char *name_at, u32 name_size, s32 has_most, u32 most, s32 has_resume, const char *resume_at,
                u32 resume_size) {
  text path = {at, size}, why;
  walk w = {.visit = visit_name};
  pattern = (text){name_at, name_size}, names_most = has_most ? most : 500, names_count = 0, kept_size = 0;
  if (!name_size || holds(pattern, '/')) return refuse(4, "walk", path, T("invalid: `name` is a name or a pattern such as `*.md`, without `/`"));
  if (!names_most || names_most > NAMES) return refuse(4, "walk", path, T("invalid: `most` is 1 to 2000"));
  hurry(WALK_MS);
  s32 directory = open_path(path, OPEN_DIRECTORY, FLAG_READ, &why);
  if (directory < 0) return refuse(4, "walk", path, why);
  text whole = path.size ? path : T("/");
  walk_tree(&w, directory, whole, remainder_of((text){resume_at, has_resume ? resume_size : 0}, whole), 0);
  fs_drop(directory);
  gives(4, names, names_count);
  result.w[3] = w.skipped;
  walked(&w, 16, 28, 32);
  return &result;
}
