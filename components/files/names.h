/* Directories and names: list, info, make-directory, move, remove. */
#pragma once
#include "answers.h"
#include "tree.h"

enum { PAGE_MOST = 768 << 10 };

/* The mounted directories below `path`, where it is none itself: what a person finds who begins at `/`. */
static u32 mounts_below(text path, list *out) {
  fs_preopens(&scratch);
  mount *mounts = (mount *)scratch.w[0];
  u32 count = scratch.w[1];
  for (u32 i = 0; i < count; i++) {
    text name = mounts[i].name;
    if (name.size <= path.size || !below(name, path)) continue;
    u32 from = path.size == 1 ? 1 : path.size + 1, end = from;
    while (end < name.size && name.at[end] != '/') end++;
    entry one = {{name.at + from, end - from}, KIND_DIRECTORY};
    int known = 0;
    for (u32 k = 0; k < out->count; k++) known |= same(((entry *)out->at)[k].name, one.name);
    if (!known) *(entry *)push(out, sizeof one) = one;
  }
  sort((entry *)out->at, out->count);
  return out->count;
}

static int is_mounted(text path) {
  fs_preopens(&scratch);
  mount *mounts = (mount *)scratch.w[0];
  for (u32 i = 0, n = scratch.w[1]; i < n; i++)
    if (same(mounts[i].name, path)) return 1;
  return 0;
}

static void *listed(list entries, u32 most, text resume, int more) {
  entry *all = (entry *)entries.at;
  u32 first = 0, bytes = 0;
  while (resume.size && first < entries.count && order(all[first].name, resume) <= 0) first++;
  u32 end = first;
  while (end < entries.count && end - first < most && bytes < PAGE_MOST) bytes += all[end++].name.size + 40;
  gives(4, all + first, end - first);
  int has_next = end < entries.count && end > first;
  option_at(12, has_next, has_next ? (u32)all[end - 1].name.at : 0);
  result.w[5] = has_next ? all[end - 1].name.size : 0;
  text stopped = T("the directory has more names than one call can read; `find` looks for names in its parts");
  option_at(24, more, (u32)stopped.at);
  result.w[8] = stopped.size;
  return &result;
}

EXPORT("list") void *tool_list(const char *at, u32 size, s32 has_most, u32 most, s32 has_resume, const char *resume_at, u32 resume_size) {
  text path = {at, size}, resume = {resume_at, has_resume ? resume_size : 0}, why;
  list entries = {0};
  int more = 0;
  if (!has_most) most = 1000;
  if (!most) return refuse(4, "list", path, T("invalid: `most` begins at 1"));
  hurry(WALK_MS);
  while (path.size > 1 && path.at[path.size - 1] == '/') path.size--;
  if (!is_mounted(path) && path.size && path.at[0] == '/' && mounts_below(path, &entries)) return listed(entries, most, resume, 0);
  s32 directory = open_path(path, OPEN_DIRECTORY, FLAG_READ, &why);
  if (directory < 0) return refuse(4, "list", path, why);
  int whole = entries_of(directory, &entries, &more, &why);
  fs_drop(directory);
  return whole ? listed(entries, most, resume, more) : refuse(4, "list", path, why);
}

EXPORT("info") void *tool_info(const char *path_at, u32 path_size) {
  text path = {path_at, path_size};
  place at;
  if (!locate(path, &at)) return refuse(8, "look at", path, T(NOT_MOUNTED));
  fs_stat_at(at.directory, 0, at.rest.at, at.rest.size, &scratch);
  if (scratch.b[0]) return refuse(8, "look at", path, fs_error(scratch.b[8]));
  result.b[0] = 0;
  result.b[8] = kind_of(scratch.b[8]);
  result.d[2] = scratch.d[3];      /* size */
  result.b[24] = scratch.b[56];    /* data-modification-timestamp: some? */
  result.d[4] = scratch.d[8];      /* its seconds */
  return &result;
}

/* What is at `at`, links not followed: 0 with the reason in `why` where nothing can be seen. */
static int kind_at(place at, u8 *kind, text *why) {
  fs_stat_at(at.directory, 0, at.rest.at, at.rest.size, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[8]), 0;
  *kind = kind_of(scratch.b[8]);
  return 1;
}

/* Makes the directories above the last name that are not there. */
static void make_parents(place at) {
  for (u32 i = 1; i < at.rest.size; i++) {
    place parent = {at.directory, {at.rest.at, i}};
    u8 kind;
    text why;
    if (at.rest.at[i] == '/' && !kind_at(parent, &kind, &why) && same(why, T("no-entry")))
      fs_mkdir(at.directory, at.rest.at, i, &scratch);
  }
}

EXPORT("make-directory") void *tool_make_directory(const char *path_at, u32 path_size) {
  text path = {path_at, path_size}, why;
  place at;
  u8 kind;
  if (!locate(path, &at)) return refuse(4, "make", path, T(NOT_MOUNTED));
  while (at.rest.size > 1 && at.rest.at[at.rest.size - 1] == '/') at.rest.size--;
  if (kind_at(at, &kind, &why) && kind == KIND_DIRECTORY) return done();
  make_parents(at);
  fs_mkdir(at.directory, at.rest.at, at.rest.size, &scratch);
  return scratch.b[0] ? refuse(4, "make", path, fs_error(scratch.b[1])) : done();
}

EXPORT("move") void *tool_move(const char *from_at, u32 from_size, const char *to_at, u32 to_size) {
  text from = {from_at, from_size}, to = {to_at, to_size}, why;
  place old, new;
  u8 kind;
  if (!locate(from, &old)) return refuse(4, "move", from, T(NOT_MOUNTED));
  if (!locate(to, &new)) return refuse(4, "move to", to, T(NOT_MOUNTED));
  if (kind_at(new, &kind, &why)) return refuse(4, "move to", to, T("exist: something is there already; remove it first"));
  fs_rename(old.directory, old.rest.at, old.rest.size, new.directory, new.rest.at, new.rest.size, &scratch);
  return scratch.b[0] ? refuse(4, "move", from, fs_error(scratch.b[1])) : done();
}

EXPORT("remove") void *tool_remove(const char *path_at, u32 path_size) {
  text path = {path_at, path_size}, why;
  place at;
  u8 kind;
  if (!locate(path, &at)) return refuse(4, "remove", path, T(NOT_MOUNTED));
  if (!kind_at(at, &kind, &why)) return refuse(4, "remove", path, why);
  if (kind == KIND_DIRECTORY) fs_rmdir(at.directory, at.rest.at, at.rest.size, &scratch);
  else fs_unlink(at.directory, at.rest.at, at.rest.size, &scratch);
  return scratch.b[0] ? refuse(4, "remove", path, fs_error(scratch.b[1])) : done();
}
