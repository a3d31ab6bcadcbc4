/* wordcount: answers "LINES WORDS BYTES", counted as `wc` does in the C locale for text. */
#include "wasi.h"

static uint8_t piece[32768];

void _start(void) {
    uint64_t lines = 0, words = 0, bytes = 0;
    int in_word = 0;
    size_t length;
    while ((length = read_some(piece, sizeof piece)) > 0) {
        bytes += length;
        for (size_t at = 0; at < length; at++) {
            int space = is_space(piece[at]);
            lines += piece[at] == '\n';
            words += !space && !in_word;
            in_word = !space;
        }
    }
    uint8_t text[63];
    size_t end = put_number(text, lines);
    text[end++] = ' ';
    end += put_number(text + end, words);
    text[end++] = ' ';
    end += put_number(text + end, bytes);
    text[end++] = '\n';
    write_all(STDOUT, text, end);
}
