/* The part of WASI preview 1 that the sample functions use, without a C library.
 *
 * Owns: the imported host calls, whole reads and writes, decimal numbers, the end with a message.
 * Never: allocates, opens a file, or keeps state between calls.
 */
#ifndef MERIT_WASI_H
#define MERIT_WASI_H

#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))

typedef struct {
    void *bytes;
    size_t length;
} wasi_buffer;

WASI("fd_read") uint16_t wasi_fd_read(uint32_t fd, const wasi_buffer *buffers, size_t count, size_t *read);
WASI("fd_write") uint16_t wasi_fd_write(uint32_t fd, const wasi_buffer *buffers, size_t count, size_t *written);
WASI("proc_exit") _Noreturn void wasi_proc_exit(uint32_t code);

enum { STDIN = 0, STDOUT = 1, STDERR = 2 };
enum { EXIT_IO = 1, EXIT_PAYLOAD = 2 };

static inline void write_all(uint32_t fd, const void *bytes, size_t length) {
    const uint8_t *rest = bytes;
    while (length > 0) {
        wasi_buffer buffer = {(void *)rest, length};
        size_t written = 0;
        if (wasi_fd_write(fd, &buffer, 1, &written) != 0 || written == 0 || written > length) {
            wasi_proc_exit(EXIT_IO);
        }
        rest += written;
        length -= written;
    }
}

static inline size_t text_length(const char *text) {
    size_t length = 0;
    while (text[length] != 0) length++;
    return length;
}

/* Ends the function: the message goes to stderr, the code to the caller. */
static inline _Noreturn void fail(uint32_t code, const char *message) {
    write_all(STDERR, message, text_length(message));
    wasi_proc_exit(code);
}

/* Reads at most `capacity` bytes of stdin. Returns 0 at the end of the payload. */
static inline size_t read_some(void *bytes, size_t capacity) {
    wasi_buffer buffer = {bytes, capacity};
    size_t length = 0;
    if (wasi_fd_read(STDIN, &buffer, 1, &length) != 0) fail(EXIT_IO, "cannot read the payload\n");
    return length;
}

/* Reads stdin up to `capacity` bytes or its end. */
static inline size_t read_full(uint8_t *bytes, size_t capacity) {
    size_t length = 0;
    while (length < capacity) {
        size_t more = read_some(bytes + length, capacity - length);
        if (more == 0) break;
        length += more;
    }
    return length;
}

static inline int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Writes `number` in decimal at `text` (20 bytes are enough). Returns the number of bytes. */
static inline size_t put_number(uint8_t *text, uint64_t number) {
    uint8_t digits[20];
    size_t length = 0;
    do {
        digits[length++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t at = 0; at < length; at++) text[at] = digits[length - 1 - at];
    return length;
}

/* Reads whitespace-separated decimals from a text. Returns their number, or -1 for anything else,
 * for more than `most` numbers, and for a number above 10^12. */
static inline int parse_numbers(const uint8_t *text, size_t length, uint64_t *numbers, int most) {
    int count = 0;
    size_t at = 0;
    for (;;) {
        while (at < length && is_space(text[at])) at++;
        if (at == length) return count;
        if (count == most) return -1;
        uint64_t number = 0;
        for (; at < length && !is_space(text[at]); at++) {
            if (text[at] < '0' || text[at] > '9') return -1;
            number = number * 10 + (uint64_t)(text[at] - '0');
            if (number > 1000000000000u) return -1;
        }
        numbers[count++] = number;
    }
}

/* Reads the whole payload as at most `most` decimals. Returns their number, or -1 for anything else. */
static inline int read_numbers(uint64_t *numbers, int most) {
    uint8_t text[128];
    size_t length = read_full(text, sizeof text);
    if (length == sizeof text) return -1;
    return parse_numbers(text, length, numbers, most);
}

#endif
