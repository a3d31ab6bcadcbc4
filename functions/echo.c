/* echo: answers with its payload, of any size, without holding more than a piece of it. */
#include "wasi.h"

static uint8_t piece[32768];

void _start(void) {
    size_t length;
    while ((length = read_some(piece, sizeof piece)) > 0) write_all(STDOUT, piece, length);
}
