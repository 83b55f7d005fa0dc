/* The subjects of wasi-testsuite's programs, through libc and the preview1 adapter: every answer is a line, whatever it is. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

typedef struct { char *at; size_t size; } text;
static text lines[256];
static unsigned count;
static struct { text *at; size_t size; } result;
static char base[512];

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)old_size, (void)align;
  void *made = realloc(old, size);
  if (!made && size) abort();
  return made;
}

static void says(const char *what, const char *outcome) {
  char *line = malloc(strlen(what) + strlen(outcome) + 3);
  sprintf(line, "%s: %s", what, outcome);
  if (count < 256) lines[count++] = (text){line, strlen(line)};
}

/* `returned` below 0 is an error, 0 is ok, more is a number. */
static long told(const char *what, long returned) {
  char number[32];
  snprintf(number, sizeof number, "%ld", returned);
  says(what, returned < 0 ? strerror(errno) : returned ? number : "ok");
  errno = 0;
  return returned;
}

/* One of a few buffers, so that a call may name two paths. */
static const char *path(const char *name) {
  static char made[4][1024];
  static unsigned next;
  char *at = made[next++ % 4];
  snprintf(at, sizeof made[0], "%s/%s", base, name);
  return at;
}

static int opened(const char *what, const char *name, int flags) {
  int file = open(path(name), flags, 0666);
  told(what, file < 0 ? -1 : 0);
  return file;
}

static void closes(int file) { if (file >= 0) close(file); }
static void tries(const char *what, const char *name, int flags) { closes(opened(what, name, flags)); }

static void contents(const char *what, int file) {
  char bytes[256] = {0};
  long got = pread(file, bytes, 255, 0);
  if (got < 0) told(what, got); else says(what, bytes);
}

static int ordered(const void *one, const void *other) { return strcmp(*(char *const *)one, *(char *const *)other); }

static void names(const char *what, const char *name) {
  DIR *folder = opendir(path(name));
  if (!folder) { told(what, -1); return; }
  char *found[64];
  unsigned n = 0;
  for (struct dirent *entry; n < 64 && (entry = readdir(folder));) found[n++] = strdup(entry->d_name);
  rewinddir(folder);
  unsigned again = 0;
  while (readdir(folder)) again++;
  closedir(folder);
  qsort(found, n, sizeof *found, ordered);
  char all[4096] = {0};
  for (unsigned i = 0; i < n; i++) strcat(strcat(all, found[i]), " ");
  says(what, all);
  told("names again", again == n ? 0 : (long)again);
}

static void looks(const char *what, const char *name, int follow) {
  struct stat found;
  if ((follow ? stat : lstat)(path(name), &found) < 0) { told(what, -1); return; }
  char line[128];
  const char *kind = S_ISDIR(found.st_mode) ? "folder" : S_ISLNK(found.st_mode) ? "link" : S_ISREG(found.st_mode) ? "file" : "other";
  snprintf(line, sizeof line, "%s %lld %lld", kind, S_ISDIR(found.st_mode) ? 0ll : (long long)found.st_size,
           S_ISDIR(found.st_mode) ? 0ll : (long long)found.st_nlink);
  says(what, line);
}

static void files(void) {
  tries("open what is missing", "f", O_RDONLY);
  int file = opened("create", "f", O_RDWR | O_CREAT);
  tries("create exclusively", "f", O_RDWR | O_CREAT | O_EXCL);
  told("write", write(file, "hello world", 11));
  told("tell", lseek(file, 0, SEEK_CUR));
  told("seek to the end", lseek(file, -5, SEEK_END));
  told("write over", write(file, "there", 5));
  told("seek before the start", lseek(file, -99, SEEK_SET));
  contents("read", file);
  told("write beyond the end", pwrite(file, "x", 1, 20));
  looks("look at a longer one", "f", 1);
  told("truncate", ftruncate(file, 5));
  contents("read a shorter one", file);
  told("stretch", ftruncate(file, 8));
  told("allocate", posix_fallocate(file, 0, 4) ? -1 : 0);
  told("advise", posix_fadvise(file, 0, 4, POSIX_FADV_WILLNEED));
  told("sync", fsync(file));
  told("sync data", fdatasync(file));
  closes(file);
  file = opened("append", "f", O_WRONLY | O_APPEND);
  told("write at the end", write(file, "end", 3));
  told("read what may only be written", read(file, base, 0) < 0 ? -1 : 0);
  closes(file);
  file = opened("read only", "f", O_RDONLY);
  told("write what may only be read", write(file, "x", 1));
  contents("read it whole", file);
  closes(file);
  tries("truncate at opening", "f", O_WRONLY | O_TRUNC);
  looks("look at an empty one", "f", 1);
  tries("open a file as a folder", "f", O_RDONLY | O_DIRECTORY);
  tries("open a file with a slash", "f/", O_RDONLY);
  tries("open below a file", "f/x", O_RDONLY);
  tries("open nothing", "", O_RDONLY);
  tries("open a folder to write", ".", O_WRONLY);
  struct timespec times[2] = {{1000, 0}, {2000, 0}};
  told("set times", utimensat(AT_FDCWD, path("f"), times, 0));
  struct stat found;
  told("times", stat(path("f"), &found) < 0 ? -1 : (long)(found.st_atim.tv_sec + found.st_mtim.tv_sec));
}

static void folders(void) {
  told("make", mkdir(path("d"), 0777));
  told("make again", mkdir(path("d"), 0777));
  told("make with a slash", mkdir(path("e/"), 0777));
  told("make in what is missing", mkdir(path("no/d"), 0777));
  tries("create below", "d/inner", O_WRONLY | O_CREAT);
  told("remove what is not empty", rmdir(path("d")));
  told("remove a file as a folder", rmdir(path("f")));
  told("unlink a folder", unlink(path("d")));
  told("unlink a file with a slash", unlink(path("f/")));
  told("unlink what is missing", unlink(path("no")));
  looks("look at a folder", "d", 1);
  looks("look back", "d/../f", 1);
  names("names", ".");
  told("remove", rmdir(path("e")));
  told("remove again", rmdir(path("e")));
}

static void links(void) {
  told("link", link(path("f"), path("second")));
  looks("look at two names", "f", 1);
  told("link onto one that is there", link(path("f"), path("second")));
  told("link with a slash", link(path("f"), path("other/")));
  told("link one with a slash", link(path("f/"), path("other")));
  told("link a folder", link(path("d"), path("other")));
  told("link what is missing", link(path("no"), path("other")));
  told("unlink one name", unlink(path("second")));
  told("symlink", symlink("f", path("s")));
  told("symlink again", symlink("f", path("s")));
  told("symlink to a folder", symlink("d", path("sd")));
  told("symlink to nothing", symlink("no", path("sn")));
  told("symlink to itself", symlink("self", path("self")));
  char words[64] = {0};
  told("readlink", readlink(path("s"), words, 63));
  says("words", words);
  told("readlink cut", readlink(path("s"), words, 1));
  told("readlink a file", readlink(path("f"), words, 63));
  looks("look at a link", "s", 0);
  looks("look through a link", "s", 1);
  looks("look through a link to a folder", "sd/inner", 1);
  looks("look through a link to nothing", "sn", 1);
  looks("look through a link to itself", "self", 1);
  looks("look at a link to nothing", "sn", 0);
  tries("open through a link", "s", O_RDONLY);
  tries("open a link itself", "s", O_RDONLY | O_NOFOLLOW);
  tries("open through a link to itself", "self", O_RDONLY);
  tries("open a link to a folder", "sd", O_RDONLY | O_DIRECTORY);
  tries("create through a link to nothing", "sn", O_WRONLY | O_CREAT);
  tries("create exclusively on a link", "s", O_WRONLY | O_CREAT | O_EXCL);
  told("remove a link as a folder", rmdir(path("sd")));
  told("unlink a link", unlink(path("sd")));
  told("link a link to nothing", link(path("sn"), path("again")));
  told("link a link to itself", link(path("self"), path("itself")));
  looks("look at its second name", "again", 0);
  told("link onto a link to nothing", link(path("f"), path("sn")));
  told("unlink it", unlink(path("again")));
  told("unlink the other", unlink(path("itself")));
  told("unlink a link to itself", unlink(path("self")));
}

static void moves(void) {
  told("move", rename(path("f"), path("g")));
  told("move what is missing", rename(path("f"), path("h")));
  told("move onto a file", rename(path("g"), path("d/inner")));
  told("move back", rename(path("d/inner"), path("f")));
  told("move a file onto a folder", rename(path("f"), path("d")));
  told("move a folder", rename(path("d"), path("e")));
  told("make", mkdir(path("d"), 0777));
  told("move a folder onto an empty one", rename(path("e"), path("d")));
  told("move a folder onto a file", rename(path("d"), path("f")));
  told("move onto itself", rename(path("f"), path("f")));
  told("move into itself", rename(path("d"), path("d/d")));
  told("move a file with a slash", rename(path("f/"), path("h")));
  told("move a folder with a slash", rename(path("d/"), path("h/")));
  told("and back", rename(path("h"), path("d")));
  told("move a link", rename(path("s"), path("t")));
  names("names", ".");
}

static void odd_names(void) {
  char longest[300];
  memset(longest, 'n', sizeof longest);
  longest[255] = 0;
  tries("create with 255 bytes", longest, O_WRONLY | O_CREAT);
  told("and remove", unlink(path(longest)));
  longest[255] = 'n', longest[256] = 0;
  tries("create with 256 bytes", longest, O_WRONLY | O_CREAT);
  tries("create composed", "caf\xc3\xa9", O_WRONLY | O_CREAT);
  tries("open decomposed", "cafe\xcc\x81", O_RDONLY);
  tries("create decomposed", "cafe\xcc\x81", O_WRONLY | O_CREAT | O_EXCL);
  tries("create with a space", " a b ", O_WRONLY | O_CREAT);
  tries("create with a line", "a\nb", O_WRONLY | O_CREAT);
  tries("create with signs", "*?[x]{a,b}\\", O_WRONLY | O_CREAT);
  tries("create with dots", "...", O_WRONLY | O_CREAT);
  names("names", ".");
}

/* A path that is no text cannot be said to WASI: the call ends here. */
__attribute__((export_name("create-outside-of-unicode"))) void create_outside(const char *folder, size_t size) {
  snprintf(base, sizeof base, "%.*s", (int)size, folder);
  tries("create", "\xff\xfe", O_WRONLY | O_CREAT);
}

__attribute__((export_name("exercise"))) void *exercise(const char *folder, size_t size) {
  snprintf(base, sizeof base, "%.*s", (int)size, folder);
  count = 0;
  files(), folders(), links(), moves(), odd_names();
  result.at = lines;
  result.size = count;
  return &result;
}
