#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Clock ticks of a process, with all its threads and reaped children; -1 when it is not in the session. */
static long ticks_of(const char *process, pid_t session) {
  char path[300], line[1024];
  snprintf(path, sizeof path, "/proc/%s/stat", process);
  FILE *file = fopen(path, "re");
  if (file == NULL) return -1; /* it has ended */
  line[fread(line, 1, sizeof line - 1, file)] = '\0';
  fclose(file);
  int id;
  long user, system, children_user, children_system;
  const char *after_name = strrchr(line, ')');
  if (after_name == NULL) return -1;
  int found = sscanf(after_name, ") %*c %*d %*d %d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &id, &user, &system,
                     &children_user, &children_system);
  return found == 5 && id == session ? user + system + children_user + children_system : -1;
}

/* The next process of the session and its ticks; NULL after the last. */
static const char *next_process(DIR *processes, pid_t session, long *ticks) {
  for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    *ticks = ticks_of(entry->d_name, session);
    if (*ticks >= 0) return entry->d_name;
  }
  return NULL;
}

static DIR *open_processes(void) {
  DIR *processes = opendir("/proc");
  if (processes == NULL) die("/proc cannot be read");
  return processes;
}

struct moment moment(pid_t session) {
  struct moment moment = {.at = now(), .cpu = 0};
  if (session == 0) return moment;
  long ticks, sum = 0;
  DIR *processes = open_processes();
  while (next_process(processes, session, &ticks) != NULL) sum += ticks;
  closedir(processes);
  moment.cpu = (double)sum / (double)sysconf(_SC_CLK_TCK);
  return moment;
}

/* A field of /proc/PID/smaps_rollup, in bytes. */
static long memory_of(const char *process, const char *field) {
  char path[300], line[256];
  long kilobytes = 0;
  snprintf(path, sizeof path, "/proc/%s/smaps_rollup", process);
  FILE *file = fopen(path, "re");
  if (file == NULL) die("%s cannot be read", path);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0) kilobytes = strtol(line + strlen(field), NULL, 10);
  }
  fclose(file);
  return kilobytes * 1024;
}

struct memory memory(pid_t session) {
  struct memory memory = {.bytes = 0, .processes = 0};
  long ticks, resident = 0, shares = 0;
  DIR *processes = open_processes();
  for (const char *process; (process = next_process(processes, session, &ticks)) != NULL; memory.processes++) {
    resident += memory_of(process, "Rss:");
    shares += memory_of(process, "Pss:");
  }
  closedir(processes);
  memory.bytes = memory.processes == 1 ? resident : shares;
  return memory;
}
