/* Tries paths that lead out of a mounted directory. */
#include "guest.h"

EXPORT("open-each") void *open_each(const char *at, u32 size, const text *paths, u32 count) {
  s32 from = directory((text){at, size});
  for (u32 i = 0; i < count; i++) tried(paths[i], opened(from, SYMLINK_FOLLOW, paths[i], 0));
  return all_attempts();
}

EXPORT("open-deep") void *open_deep(const char *at, u32 size, const char *name, u32 name_size, u32 depth) {
  s32 from = directory((text){at, size});
  char *path = take(depth * name_size);
  for (u32 i = 0; i < depth; i++) memcpy(path + i * name_size, name, name_size);
  tried(T("open"), opened(from, SYMLINK_FOLLOW, (text){path, depth * name_size}, 0));
  return all_attempts();
}

EXPORT("mounts") void *mounts(void) {
  fs_preopens(&scratch);
  mount *found = (mount *)scratch.w[0];
  u32 count = scratch.w[1];
  text *names = take(count * sizeof(text));
  for (u32 i = 0; i < count; i++) names[i] = found[i].name;
  result.w[0] = (u32)names;
  result.w[1] = count;
  return &result;
}
