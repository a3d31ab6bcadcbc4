/* wait: sleeps for the milliseconds of its payload (100 without one) and answers how long.
 *
 * More than 600,000 ms, or a payload that is not one decimal number, is refused with code 2.
 */
#include "wasi.h"

/* `subscription` and `event` of WASI preview 1, for a clock. */
typedef struct {
    uint64_t userdata;
    uint8_t kind; /* 0: clock */
    uint8_t padding[7];
    uint32_t clock; /* 1: monotonic */
    uint32_t padding_of_clock;
    uint64_t timeout_ns;
    uint64_t precision_ns;
    uint16_t flags; /* 0: relative */
    uint8_t padding_of_flags[6];
} wasi_subscription;

typedef struct {
    uint64_t userdata;
    uint16_t error;
    uint8_t kind;
    uint8_t padding[5];
    uint64_t bytes;
    uint64_t flags;
} wasi_event;

_Static_assert(sizeof(wasi_subscription) == 48 && sizeof(wasi_event) == 32, "as preview 1 lays them out");

WASI("poll_oneoff")
uint16_t wasi_poll_oneoff(const wasi_subscription *in, wasi_event *out, size_t count, size_t *events);

void _start(void) {
    uint64_t wait_ms = 100;
    if (read_numbers(&wait_ms, 1) < 0 || wait_ms > 600000) {
        fail(EXIT_PAYLOAD, "the payload is a number of milliseconds, at most 600000\n");
    }
    wasi_subscription clock = {.clock = 1, .timeout_ns = wait_ms * 1000000};
    wasi_event event;
    size_t events = 0;
    if (wasi_poll_oneoff(&clock, &event, 1, &events) != 0 || events != 1 || event.error != 0) {
        fail(EXIT_IO, "cannot wait\n");
    }
    uint8_t text[40] = "waited ";
    size_t end = 7 + put_number(text + 7, wait_ms);
    text[end++] = ' ', text[end++] = 'm', text[end++] = 's', text[end++] = '\n';
    write_all(STDOUT, text, end);
}
