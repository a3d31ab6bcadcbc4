/* mandelbrot: burns CPU and draws the Mandelbrot set in characters, one line a row.
 *
 * The payload, if there is one, is "WIDTH HEIGHT ITERATIONS"; the work grows with their product.
 * Anything else, a size above 4096 or more than 100,000,000 iterations is refused with code 2.
 */
#include "wasi.h"

static const char SHADES[] = " .:-=+*#%";
static uint8_t row[4096 + 1];

static uint64_t escape(double x0, double y0, uint64_t iterations) {
    double x = 0, y = 0, xx = 0, yy = 0;
    uint64_t step = 0;
    for (; step < iterations && xx + yy <= 4; step++) {
        y = 2 * x * y + y0;
        x = xx - yy + x0;
        xx = x * x;
        yy = y * y;
    }
    return step;
}

static uint8_t shade(uint64_t steps, uint64_t iterations) {
    if (steps == iterations) return '@';
    size_t doublings = 0;
    while (steps > 1) steps >>= 1, doublings++;
    return (uint8_t)SHADES[doublings < sizeof SHADES - 2 ? doublings : sizeof SHADES - 2];
}

void _start(void) {
    uint64_t sizes[3] = {96, 40, 5000};
    int count = read_numbers(sizes, 3);
    int fits = sizes[0] >= 1 && sizes[0] <= 4096 && sizes[1] >= 1 && sizes[1] <= 4096;
    int ends = sizes[2] >= 1 && sizes[2] <= 100000000;
    if ((count != 0 && count != 3) || !fits || !ends) {
        fail(EXIT_PAYLOAD, "the payload is WIDTH HEIGHT ITERATIONS: sizes 1 to 4096, iterations 1 to 100000000\n");
    }
    uint64_t width = sizes[0], height = sizes[1], iterations = sizes[2];
    for (uint64_t line = 0; line < height; line++) {
        double y = 2.4 * ((double)line + 0.5) / (double)height - 1.2;
        for (uint64_t column = 0; column < width; column++) {
            double x = 3.2 * ((double)column + 0.5) / (double)width - 2.2;
            row[column] = shade(escape(x, y, iterations), iterations);
        }
        row[width] = '\n';
        write_all(STDOUT, row, width + 1);
    }
}
