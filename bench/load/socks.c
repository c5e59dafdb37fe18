#include "load.h"

#include <string.h>

/* A SOCKS5 greeting that offers one method, NO AUTHENTICATION REQUIRED. */
const uint8_t GREETING[3] = {5, 1, 0};

/* Encodes the IPv4 address 127.0.0.1 and a port (RFC 1928). */
static void encode_loopback(uint8_t *bytes, uint16_t port) {
  static const uint8_t ADDRESS[] = {1, 127, 0, 0, 1};
  memcpy(bytes, ADDRESS, sizeof ADDRESS);
  bytes[5] = (uint8_t)(port >> 8);
  bytes[6] = (uint8_t)port;
}

void encode_request(uint8_t *bytes, uint8_t command, uint16_t port) {
  bytes[0] = 5;
  bytes[1] = command;
  bytes[2] = 0;
  encode_loopback(bytes + 3, port);
}

void encode_udp_header(uint8_t *bytes, uint16_t port) {
  memset(bytes, 0, 3);
  encode_loopback(bytes + 3, port);
}

void check_method(const uint8_t *bytes) {
  if (bytes[0] != 5 || bytes[1] != 0) die("the proxy wants authentication");
}

void check_reply(const uint8_t *bytes) {
  if (bytes[0] != 5 || bytes[1] != 0) die("the proxy refused the request with code %d", bytes[1]);
  if (bytes[3] != 1) die("the proxy's reply holds no IPv4 address");
}
