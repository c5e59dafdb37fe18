#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: load bulk|rate|rtt|idle|udp [--proxy PORT --session PID] [--connections N] [--from N]\n"
    "            [--warm-up SECONDS] [--seconds SECONDS] [--rest SECONDS] [--zero-copy]\n";

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

long must(const char *what, long result) {
  if (result < 0) die("%s: %s", what, strerror(errno));
  return result;
}

struct sockaddr_in loopback(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

uint16_t local_port(int descriptor) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  must("getsockname", getsockname(descriptor, (struct sockaddr *)&address, &size));
  return ntohs(address.sin_port);
}

static enum mode parse_mode(const char *name) {
  static const char *const NAMES[] = {[BULK] = "bulk", [RATE] = "rate", [RTT] = "rtt", [IDLE] = "idle", [UDP] = "udp"};
  for (enum mode mode = BULK; mode <= UDP; mode++) {
    if (strcmp(name, NAMES[mode]) == 0) return mode;
  }
  fputs(USAGE, stderr);
  exit(2);
}

static double parse_number(const char *option, const char *text, double least, double most) {
  char *rest;
  double number = strtod(text, &rest);
  if (rest == text || *rest != '\0' || !(number >= least && number <= most)) {
    die("--%s takes a number from %g to %g, not %s", option, least, most, text);
  }
  return number;
}

static struct options parse_options(int count, char **words) {
  static const struct option OPTIONS[] = {
      {"proxy", required_argument, NULL, 'p'},       {"session", required_argument, NULL, 'i'},
      {"connections", required_argument, NULL, 'c'}, {"from", required_argument, NULL, 'f'},
      {"warm-up", required_argument, NULL, 'w'},     {"seconds", required_argument, NULL, 's'},
      {"rest", required_argument, NULL, 'r'},        {"zero-copy", no_argument, NULL, 'z'},
      {NULL, 0, NULL, 0},
  };
  struct options options = {
      .mode = parse_mode(count > 1 ? words[1] : ""), .connections = 1, .warm_up = 0.5, .seconds = 2, .rest = 2};
  int option, index;
  optind = 2;
  while ((option = getopt_long(count, words, "", OPTIONS, &index)) != -1) {
    const char *name = option == '?' ? "" : OPTIONS[index].name;
    switch (option) {
      case 'p': options.proxy = (uint16_t)parse_number(name, optarg, 1, 65535); break;
      case 'i': options.session = (pid_t)parse_number(name, optarg, 1, INT32_MAX); break;
      case 'c': options.connections = (long)parse_number(name, optarg, 1, 100000); break;
      case 'f': options.from = (long)parse_number(name, optarg, 1, 100000); break;
      case 'w': options.warm_up = parse_number(name, optarg, 0, 60); break;
      case 's': options.seconds = parse_number(name, optarg, 0.1, 600); break;
      case 'r': options.rest = parse_number(name, optarg, 0, 600); break;
      case 'z': options.zero_copy = true; break;
      default: fputs(USAGE, stderr); exit(2);
    }
  }
  if (optind != count) die("what is %s?", words[optind]);
  if (options.mode == IDLE && (options.session == 0 || options.from < 1 || options.from >= options.connections)) {
    die("idle takes --session and --from, less than --connections");
  }
  return options;
}

int main(int count, char **words) {
  struct options options = parse_options(count, words);
  signal(SIGPIPE, SIG_IGN);
  if (options.mode == UDP) {
    run_udp(&options);
  } else {
    run_tcp(&options);
  }
  return 0;
}
