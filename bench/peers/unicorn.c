// unicorn IMAGE ROOT... END...: the Unicorn peer; see README.md for the protocol. IMAGE is what lies in RAM below the data
// (loops and page tables), ROOT the physical addresses of page tables, END where each loop ends. Built by unicorn.mjs,
// which defines the layout (patterns.mjs).
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <unicorn/unicorn.h>

enum { CR0_PE = 1 << 0, CR4_PAE = 1 << 5 };
#define CR0_PG (UINT64_C(1) << 31)

// A line of standard input; see README.md.
struct request {
  unsigned loop, root;
  uint32_t operand, first, pages, passes;
};

static uc_engine *uc;
static uint8_t *ram;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "unicorn: %s: %s\n", what, why);
  exit(1);
}

static void must(const char *what, uc_err err) {
  if (err != UC_ERR_OK) fail(what, uc_strerror(err));
}

static void set(int reg, uint64_t value) {
  must("uc_reg_write", uc_reg_write(uc, reg, &value));
}

static void *mapped(void *at, size_t size, int flags, int fd) {
  void *memory = mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) fail("mmap", "no memory");
  return memory;
}

static void fill(uint32_t *words, uint32_t more) {
  for (uint32_t at = 0; at < DATA_BYTES / 4; at++) words[at] = at * 0x9e3779b1u + more;
}

// Unicorn before 2.1 translates, and then loads from the linear address as if it were physical. So there is memory at
// that place too, whose words are one more than those of the data: the sums then say which of the two was read. It is
// 64 MiB again and again, as large to the host's caches as what should have been read.
static void mapUntranslated(void) {
  int fd = memfd_create("untranslated", 0);
  if (fd < 0 || ftruncate(fd, DATA_BYTES) != 0) fail("memfd_create", "no memory");
  uint8_t *window = mapped(NULL, WINDOW_BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  for (uint64_t at = 0; at < WINDOW_BYTES; at += DATA_BYTES) mapped(window + at, DATA_BYTES, MAP_SHARED | MAP_FIXED, fd);
  fill((uint32_t *)window, 1);
  must("uc_mem_map_ptr", uc_mem_map_ptr(uc, WINDOW, WINDOW_BYTES, UC_PROT_READ | UC_PROT_WRITE, window));
}

static void load(const char *image) {
  FILE *file = fopen(image, "rb");
  if (file == NULL || fread(ram, 1, DATA, file) != DATA) fail(image, "cannot be read");
  fclose(file);
}

// Thread CPU time: what others do on the machine does not count.
static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// What stores left behind the pages of the window, found by physical address.
static uint32_t stored(uint32_t first, uint32_t pages) {
  uint32_t sum = 0;
  for (uint32_t page = first; page < first + pages; page++) {
    uint32_t word;
    memcpy(&word, ram + DATA + (page * UINT64_C(4096)) % DATA_BYTES + (page % UNROLL) * (STEP - 4096) + STORE_AT, 4);
    sum += word;
  }
  return sum;
}

static uc_err run(struct request of, uint64_t linear, uint64_t end) {
  set(UC_X86_REG_RAX, of.operand);
  set(UC_X86_REG_RBX, 0);
  set(UC_X86_REG_RBP, linear);
  set(UC_X86_REG_RDX, of.pages / UNROLL);
  set(UC_X86_REG_RCX, of.passes);
  return uc_emu_start(uc, CODE + (UINT64_C(1) + of.loop) * 4096, end, 0, 0);
}

// That the page tables are in use, which sums of untranslated words do not tell: the data have no linear address of
// their own, so a load there must fault.
static void provePaging(uint64_t end) {
  struct request load = {.loop = LOAD, .pages = UNROLL, .passes = 1};
  if (run(load, DATA, end) != UC_ERR_EXCEPTION) fail("paging", "is off");
}

static void chunk(struct request of, uint64_t end) {
  uint64_t sum, left;
  uint64_t start = now();
  must("uc_emu_start", run(of, WINDOW + of.first * UINT64_C(4096), end));
  uint64_t time = now() - start;
  must("uc_reg_read", uc_reg_read(uc, UC_X86_REG_RBX, &sum));
  must("uc_reg_read", uc_reg_read(uc, UC_X86_REG_RCX, &left));
  if (left != 0) fail("loop", "ended before its last pass");
  if (of.loop == STORE) sum = stored(of.first, of.pages);
  printf("%" PRIu64 " %" PRIu32 "\n", time, (uint32_t)sum);
}

int main(int argc, char **argv) {
  enum { IMAGE = 1, FIRST_ROOT, FIRST_END = FIRST_ROOT + ROOTS, ARGUMENTS = FIRST_END + LOOPS };
  if (argc != ARGUMENTS) fail("arguments", "IMAGE, a root for each kind of page, the end of each loop");

  must("uc_open", uc_open(UC_ARCH_X86, UC_MODE_64, &uc));
  ram = mapped(NULL, RAM, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  load(argv[IMAGE]);
  fill((uint32_t *)(ram + DATA), 0);
  must("uc_mem_map_ptr", uc_mem_map_ptr(uc, 0, DATA, UC_PROT_ALL, ram));
  must("uc_mem_map_ptr", uc_mem_map_ptr(uc, DATA, RAM - DATA, UC_PROT_READ | UC_PROT_WRITE, ram + DATA));
  mapUntranslated();
  set(UC_X86_REG_CR4, CR4_PAE);
  set(UC_X86_REG_CR0, CR0_PG | CR0_PE);
  for (int at = ROOTS - 1; at >= 0; at--) {
    set(UC_X86_REG_CR3, strtoull(argv[FIRST_ROOT + at], NULL, 0));
    provePaging(strtoull(argv[FIRST_END + LOAD], NULL, 0));
  }

  unsigned major, minor;
  unsigned version = uc_version(&major, &minor);
  printf("%u.%u.%u\n", major, minor, (version >> 8) & 0xff);
  fflush(stdout);

  struct request of;
  uint32_t root = 0;
  while (scanf("%u %u %u %u %u %u", &of.loop, &of.root, &of.operand, &of.first, &of.pages, &of.passes) == 6) {
    if (of.loop >= LOOPS || of.root >= ROOTS) fail("request", "no such loop or root");
    if (of.root != root) set(UC_X86_REG_CR3, strtoull(argv[FIRST_ROOT + of.root], NULL, 0));
    root = of.root;
    chunk(of, strtoull(argv[FIRST_END + of.loop], NULL, 0));
    fflush(stdout);
  }
  return 0;
}
