/* Tries every operation that changes something, on a file and a directory that are given for reading. */
#include "guest.h"

enum { NOW = 1 };

static void open_and_close(s32 at, text file, s32 how, s32 flags, const char *verb) {
  fs_open(at, SYMLINK_FOLLOW, file.at, file.size, how, flags, &scratch);
  if (told(verb, file, 4)) fs_drop((s32)scratch.w[1]);
}

/* Through a descriptor that was opened for reading alone. */
static void through_a_reader(s32 at, text file) {
  fs_open(at, SYMLINK_FOLLOW, file.at, file.size, 0, FLAG_READ, &scratch);
  if (!told("open for reading", file, 4)) return;
  s32 reader = (s32)scratch.w[1];
  fs_set_size(reader, 0, &scratch);
  told("set-size", file, 1);
  fs_set_times(reader, NOW, 0, 0, NOW, 0, 0, &scratch);
  told("set-times", file, 1);
  fs_write(reader, "X", 1, 0, &scratch);
  told("write", file, 8);
  fs_write_stream(reader, 0, &scratch);
  if (told("write-via-stream", file, 4)) io_drop_output((s32)scratch.w[1]);
  fs_append_stream(reader, &scratch);
  if (told("append-via-stream", file, 4)) io_drop_output((s32)scratch.w[1]);
  fs_drop(reader);
}

/* Through a directory descriptor that asks to change the directory. */
static void through_a_directory(s32 at, text file) {
  fs_open(at, 0, ".", 1, OPEN_DIRECTORY, FLAG_READ | FLAG_MUTATE_DIRECTORY, &scratch);
  if (!told("open directory to mutate", file, 4)) return;
  s32 mutable = (s32)scratch.w[1];
  open_and_close(mutable, file, OPEN_TRUNCATE, FLAG_WRITE, "truncate through directory");
  fs_unlink(mutable, file.at, file.size, &scratch);
  told("unlink through directory", file, 1);
  fs_drop(mutable);
}

static void change_the_directory(s32 at, text file, s32 other) {
  fs_set_times_at(at, 0, file.at, file.size, NOW, 0, 0, NOW, 0, 0, &scratch);
  told("set-times-at", file, 1);
  fs_mkdir(at, "made", 4, &scratch);
  told("mkdir", T("made"), 1);
  fs_symlink(at, file.at, file.size, "linked", 6, &scratch);
  told("symlink", T("linked"), 1);
  fs_link(at, 0, file.at, file.size, at, "second", 6, &scratch);
  told("link", T("second"), 1);
  fs_rename(at, file.at, file.size, at, "renamed", 7, &scratch);
  told("rename", T("renamed"), 1);
  fs_rename(at, file.at, file.size, other, "moved-out", 9, &scratch);
  told("rename out", T("moved-out"), 1);
  fs_rename(other, "own", 3, at, "moved-in", 8, &scratch);
  told("rename in", T("moved-in"), 1);
  fs_unlink(at, file.at, file.size, &scratch);
  told("unlink", file, 1);
  fs_rmdir(at, "folder", 6, &scratch);
  told("rmdir", T("folder"), 1);
}

EXPORT("tamper") void *tamper(const char *mounted, u32 size, const char *name, u32 name_size, const char *second, u32 second_size) {
  s32 at = directory((text){mounted, size}), other = directory((text){second, second_size});
  text file = {name, name_size};
  open_and_close(at, file, OPEN_TRUNCATE, FLAG_READ, "truncate for reading");
  open_and_close(at, file, OPEN_TRUNCATE, FLAG_WRITE, "truncate");
  open_and_close(at, file, 0, FLAG_READ | FLAG_WRITE, "open for writing");
  open_and_close(at, T("created"), OPEN_CREATE, FLAG_WRITE, "create");
  open_and_close(at, T("created-exclusively"), OPEN_CREATE | OPEN_EXCLUSIVE, FLAG_READ, "create");
  through_a_reader(at, file);
  through_a_directory(at, file);
  change_the_directory(at, file, other);
  return all_attempts();
}
