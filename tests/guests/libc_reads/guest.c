/* What a C toolchain makes of plain C: unlike the other guests it calls WASI while it is instantiated. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *at; size_t size; } text;
static struct { int is_err; text text; } result;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)old_size, (void)align;
  void *made = realloc(old, size);
  if (!made && size) abort();
  return made;
}

static char *named(const char *at, size_t size) {
  char *name = malloc(size + 1);
  memcpy(name, at, size);
  name[size] = 0;
  return name;
}

static void *fails(void) {
  result.is_err = 1;
  result.text = (text){strerror(errno), strlen(strerror(errno))};
  return &result;
}

__attribute__((export_name("read"))) void *read_file(const char *path, size_t size) {
  FILE *file = fopen(named(path, size), "r");
  if (!file) return fails();
  char *all = malloc(65536);
  size_t got = fread(all, 1, 65536, file);
  if (ferror(file)) return fails();
  fclose(file);
  result.is_err = 0;
  result.text = (text){all, got};
  return &result;
}

__attribute__((export_name("variable"))) void *variable(const char *name, size_t size) {
  char *value = getenv(named(name, size));
  result.is_err = value != NULL; /* the tag of `some` is that of `err` */
  result.text = (text){value, value ? strlen(value) : 0};
  return &result;
}
