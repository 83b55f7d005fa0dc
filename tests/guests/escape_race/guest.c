/* Two calls of this guest at once: one swaps a directory and a symbolic link, the other opens a path through that name. */
#include "guest.h"

EXPORT("swap") u32 swap(const char *mounted, u32 size, const char *one, u32 one_size, const char *two, u32 two_size, u32 times) {
  s32 at = directory((text){mounted, size});
  text aside = join((text){one, one_size}, T("-aside"));
  u32 done = 0;
  for (u32 i = 0; i < times; i++) {
    fs_rename(at, one, one_size, at, aside.at, aside.size, &scratch);
    done += !scratch.b[0];
    fs_rename(at, two, two_size, at, one, one_size, &scratch);
    done += !scratch.b[0];
    fs_rename(at, aside.at, aside.size, at, two, two_size, &scratch);
    done += !scratch.b[0];
  }
  return done;
}

static int holds(text all, text needle) {
  for (u32 i = 0; i + needle.size <= all.size; i++)
    if (same((text){all.at + i, needle.size}, needle)) return 1;
  return 0;
}

EXPORT("hunt") u32 hunt(const char *mounted, u32 size, const char *path, u32 path_size, const char *needle, u32 needle_size, u32 times) {
  s32 at = directory((text){mounted, size});
  u32 found = 0, mark = arena_at;
  for (u32 i = 0; i < times; i++) {
    found += holds(opened(at, SYMLINK_FOLLOW, (text){path, path_size}, 0), (text){needle, needle_size});
    arena_at = mark; /* nothing of a round is needed in the next */
  }
  return found;
}
