/* Walking a tree in a fixed order, so that a walk that ended early goes on where it stopped.

   Decides when a walk ends: after the time, or when what it keeps is full. What is done with a file is the visitor's.
   Rules: names in byte order, a directory before what is in it; what was taken for a directory is given back with it; symbolic
   links are not followed; what cannot be opened is counted and left out. */
#pragma once
#include "kept.h"
#include "paths.h"

enum { MAX_DEPTH = 32, WALK_MS = 3000 };

typedef struct walk walk;
struct walk {
  /* `again`: the walk goes on at this very path. Sets `stopped` to end the walk. */
  void (*visit)(walk *w, s32 directory, text path, entry one, int again);
  text stopped;      /* why it ended early */
  text next;         /* the path that was about to be visited then */
  u32 files, skipped, done;
};

/* The walk's time is up: it stops before `path`, unless it has done nothing yet. */
static int stops_here(walk *w, text path) {
  if (w->stopped.size || !w->done || !is_late()) return w->stopped.size != 0;
  w->stopped = T("three seconds were up");
  w->next = keep_last(path);
  return 1;
}

static text child(text path, text name) { return join(path.at[path.size - 1] == '/' ? path : join(path, T("/")), name); }

static void walk_tree(walk *w, s32 at, text path, text resume, u32 depth);

static void walk_entry(walk *w, s32 at, text path, entry one, text resume, int again, u32 depth) {
  if (!resume.size && stops_here(w, path)) return;
  if (!resume.size) w->visit(w, at, path, one, again), w->done++;
  if (one.kind != KIND_DIRECTORY || w->stopped.size) return;
  fs_open(at, 0, one.name.at, one.name.size, OPEN_DIRECTORY, FLAG_READ, &scratch);
  if (scratch.b[0]) {
    w->skipped++;
    return;
  }
  s32 handle = (s32)scratch.w[1];
  walk_tree(w, handle, path, resume, depth + 1);
  fs_drop(handle);
}

/* `resume` is what remains, below this directory, of the path that an earlier walk ended at. */
static void walk_tree(walk *w, s32 at, text path, text resume, u32 depth) {
  u32 before = mark();
  list entries = {0};
  text why;
  int more = 0;
  if (depth > MAX_DEPTH || !entries_of(at, &entries, &more, &why)) w->skipped++, entries.count = 0;
  u32 first = 0;
  while (first < resume.size && resume.at[first] != '/') first++;
  text rest = {resume.at + first + 1, first < resume.size ? resume.size - first - 1 : 0};
  for (u32 i = 0; i < entries.count && !w->stopped.size; i++) {
    entry one = ((entry *)entries.at)[i];
    int where = resume.size ? order(one.name, (text){resume.at, first}) : 1;
    u32 here = mark();
    if (where >= 0) walk_entry(w, at, child(path, one.name), one, where ? T("") : rest, !where && !rest.size, depth);
    rewind(here);
  }
  if (more && !w->stopped.size) w->stopped = T("a directory has more names than one call can read: walk a smaller one");
  rewind(before);
}

/* What of `after` lies below `path`; all of a walk is done again where it lies elsewhere. */
static text remainder_of(text after, text path) {
  while (path.size && path.at[path.size - 1] == '/') path.size--;
  if (!begins(after, path) || after.size <= path.size || after.at[path.size] != '/') return T("");
  return (text){after.at + path.size + 1, after.size - path.size - 1};
}

/* Whether `name` fits a pattern in which `*` is any text and `?` one character. Goes back to the last `*` alone: time is the product of both. */
static int fits(text name, text pattern) {
  u32 n = 0, p = 0, star = (u32)-1, from = 0;
  while (n < name.size) {
    u32 step = utf8_at((const u8 *)name.at + n, name.size - n);
    if (!step) step = 1;
    if (p < pattern.size && pattern.at[p] == '*') star = p++, from = n;
    else if (p < pattern.size && pattern.at[p] == '?') p++, n += step;
    else if (p < pattern.size && pattern.at[p] == name.at[n]) p++, n++;
    else if (star != (u32)-1) p = star + 1, n = ++from;
    else return 0;
  }
  while (p < pattern.size && pattern.at[p] == '*') p++;
  return p == pattern.size;
}
