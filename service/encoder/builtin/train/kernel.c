// One pixel of one view. The same text is compiled for the GPU and for processors.
// layout.py declares View and Sources before it, and SIDE: the pixels of a side of every drawn part.
#ifdef GPU
#define FUNCTION __device__ __forceinline__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
#else
#include <math.h>
#include <stdint.h>
#define FUNCTION static inline
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
#endif
typedef long long i64;
#define ROLES 5     // channels of a shape: coverage of each role,
#define RIM 5       // how near the rim is,
#define HEIGHT 6    // and a blurred height
#define CHANNELS 8

typedef struct {
  const u8 *shapes, *patterns, *grounds, *prints, *noises;
} Pools;
typedef struct {
  float x, y;
} Point;

FUNCTION float clamped(float v, float low, float high) { return fminf(fmaxf(v, low), high); }

// A triangle wave, -1..1: continues a drawn part beyond its edges by mirroring.
FUNCTION float folded(float t) {
  float s = t * 0.25f + 0.25f;
  return 1.f - 4.f * fabsf(s - floorf(s) - 0.5f);
}

// Bilinear weights of a place in -1..1, clamped at the edges. Returns the first pixel.
FUNCTION int corners(float x, float y, float* w) {
  float px = clamped((x + 1.f) * (SIDE / 2) - 0.5f, 0.f, SIDE - 1.001f);
  float py = clamped((y + 1.f) * (SIDE / 2) - 0.5f, 0.f, SIDE - 1.001f);
  int column = (int)px, row = (int)py;
  float a = px - column, b = py - row;
  w[0] = (1.f - b) * (1.f - a) * (1.f / 255);
  w[1] = (1.f - b) * a * (1.f / 255);
  w[2] = b * (1.f - a) * (1.f / 255);
  w[3] = b * a * (1.f / 255);
  return row * SIDE + column;
}

FUNCTION float sample(const u8* pool, i64 index, float x, float y, int channels, int channel) {
  float w[4];
  const u8* q = pool + (index * (SIDE * SIDE) + corners(x, y, w)) * channels + channel;
  return q[0] * w[0] + q[channels] * w[1] + q[SIDE * channels] * w[2] + q[(SIDE + 1) * channels] * w[3];
}

FUNCTION float plane(const u8* pool, i64 index, float x, float y) { return sample(pool, index, x, y, 1, 0); }

// A pattern of 0..1 as the shares of three colours.
FUNCTION void shares(float t, float* w) {
  w[0] = fmaxf(1.f - 2.f * t, 0.f);
  w[1] = 1.f - fabsf(2.f * t - 1.f);
  w[2] = fmaxf(2.f * t - 1.f, 0.f);
}

FUNCTION float textured(const u8* patterns, i64 index, const float* t, Point o) {
  return plane(patterns, index, folded(t[0] * o.x + t[1] * o.y + t[2]), folded(t[3] * o.x + t[4] * o.y + t[5]));
}

// From a place in the picture to a place on the layer of the object.
FUNCTION Point on_layer(const View* v, const Sources* s, const u8* noises, Point q, int behind) {
  float w = 1.f + v->tilt[0] * q.x + v->tilt[1] * q.y;
  float x = (q.x - v->place[0]) / w, y = (q.y - v->place[1]) / w;
  if (v->heap > 0.f) {  // a grid of the same thing, each turned a little
    float hx = x * v->heap + behind, hy = y * v->heap + behind, row = floorf(hy * 0.5f + 0.5f);
    hx += v->heap_shift * 2.f * (row - 2.f * floorf(row * 0.5f));
    float column = floorf(hx * 0.5f + 0.5f), lx = hx - 2.f * column, ly = hy - 2.f * row;
    float angle = v->heap_turn * sinf(12.9898f * row + 78.233f * column + 3.f * v->place[0] + 5.f * behind);
    float c = cosf(angle), n = sinf(angle);
    x = c * lx - n * ly;
    y = n * lx + c * ly;
  }
  Point o = {v->pose[0] * x + v->pose[1] * y, v->pose[2] * x + v->pose[3] * y};
  if (v->wobble > 0.f) {  // bent as cloth
    float a = o.x * v->wobble_scale, b = o.y * v->wobble_scale, p = v->wobble_place[0], r = v->wobble_place[1];
    o.x += v->wobble * (plane(noises, s->wobble, folded(a + p), folded(b + r)) - 0.5f);
    o.y += v->wobble * (plane(noises, s->wobble, folded(b + r + 0.7f), folded(a - p)) - 0.5f);
  }
  return o;
}

// The object at a place on its layer: colours times coverage, and the coverage.
FUNCTION float object(const View* v, const Sources* s, const Pools* pools, Point o, Point q, float* out) {
  out[0] = out[1] = out[2] = 0.f;
  if (v->object <= 0.f || fabsf(o.x) > 1.f || fabsf(o.y) > 1.f) return 0.f;
  float w[4], g[HEIGHT + 1];
  const u8* at = pools->shapes + (s->shape * (SIDE * SIDE) + corners(o.x, o.y, w)) * CHANNELS;
  for (int c = 0; c <= HEIGHT; c++)
    g[c] = at[c] * w[0] + at[c + CHANNELS] * w[1] + at[c + SIDE * CHANNELS] * w[2] + at[c + (SIDE + 1) * CHANNELS] * w[3];
  float coverage = fminf(g[0] + g[1] + g[2] + g[3] + g[4], 1.f);
  if (coverage <= 0.f) return 0.f;
  float first = clamped((textured(pools->patterns, s->main_pattern, v->main_texture, o) - 0.5f) * v->sharpness + 0.5f, 0.f, 1.f);
  float second = textured(pools->patterns, s->second_pattern, v->second_texture, o);
  float w1[3], w2[3];
  shares(v->main_depth * first + (1.f - v->main_depth) * 0.5f, w1);
  shares(v->second_depth * second + (1.f - v->second_depth) * 0.5f, w2);
  float print = 0.f, px = o.x - v->print_place[0], py = o.y - v->print_place[1];
  if (v->print > 0.f && fabsf(px) < v->print_size && fabsf(py) < v->print_size)
    print = v->print * plane(pools->prints, s->print, px / v->print_size, py / v->print_size);
  const float step = 2.0f / SIDE;
  float slope_x = sample(pools->shapes, s->shape, o.x + step, o.y, CHANNELS, HEIGHT) - g[HEIGHT];
  float slope_y = sample(pools->shapes, s->shape, o.x, o.y + step, CHANNELS, HEIGHT) - g[HEIGHT];
  float fold = plane(pools->noises, s->folds, folded(o.x * v->fold_scale[0]), folded(o.y * v->fold_scale[1]));
  float ridge = 1.f - fabsf(2.f * fold - 1.f);
  ridge *= ridge;
  float folds = v->folds < 0.f ? v->folds * ridge * ridge : v->folds * (fold - 0.5f);  // creases or waves
  float relief = clamped(v->light[0] * slope_x + v->light[1] * slope_y, -0.5f, 0.45f);
  float lamp = clamped(1.f + relief + folds + v->ramp[0] * q.x + v->ramp[1] * q.y, 0.15f, 1.6f) * (1.f - v->rim * g[RIM]);
  const float *a = v->main_palette, *b = v->second_palette;
  for (int c = 0; c < 3; c++) {
    float m = w1[0] * a[c] + w1[1] * a[3 + c] + w1[2] * a[6 + c];
    float n = v->second_is_shade > 0.f ? clamped(m * v->shade, 0.f, 1.f) : w2[0] * b[c] + w2[1] * b[3 + c] + w2[2] * b[6 + c];
    m += print * (v->print_colour[c] - m);
    out[c] = (g[0] * m + g[1] * n + g[2] * v->detail[c] + g[3] * v->metal[c] + g[4] * v->dark[c]) * lamp;
  }
  return coverage;
}

FUNCTION void ground(const View* v, const Sources* s, const Pools* pools, Point q, float* out) {
  float light = 1.f + v->ground_ramp * q.y;
  if (v->ground_shade > 0.f) light -= v->ground_shade * plane(pools->noises, s->shade, folded(q.x * 0.6f), folded(q.y * 0.6f));
  float x = v->ground_axis[0] * q.x - v->ground_axis[1] * q.y + v->ground_place[0];
  float y = v->ground_axis[1] * q.x + v->ground_axis[0] * q.y + v->ground_place[1];
  int other = v->ground_mix > -1.f && plane(pools->patterns, s->mask, x, y) > v->ground_mix;
  for (int c = 0; c < 3; c++)
    out[c] = light * (v->plain > 0.f ? v->ground_colour[c]
                      : clamped(sample(pools->grounds, other ? s->other_ground : s->ground, x, y, 3, c) * v->ground_tint[c], 0.f, 1.f));
}

FUNCTION void over(float* under, float coverage, const float* colour) {
  for (int c = 0; c < 3; c++) under[c] = clamped(under[c] * (1.f - coverage) + colour[c], 0.f, 1.f);
}

FUNCTION void pixel(const View* v, const Sources* s, const Pools* pools, Point at, float* out) {
  float ex = at.x * v->frame_size[0], ey = at.y * v->frame_size[1];
  float rx = v->turn[0] * ex + v->turn[1] * ey, ry = v->turn[2] * ex + v->turn[3] * ey;
  Point q = {rx * v->crop_size[0] + v->crop_place[0], ry * v->crop_size[1] + v->crop_place[1]};
  float colour[3], layer[3];
  ground(v, s, pools, q, colour);
  Point o = on_layer(v, s, pools->noises, q, 0);
  float sx = o.x + v->shadow_place[0], sy = o.y + v->shadow_place[1];
  if (v->shadow > 0.f && v->object > 0.f && fabsf(sx) <= 1.f && fabsf(sy) <= 1.f) {
    float shade = 1.f - v->shadow * sample(pools->shapes, s->shape, sx, sy, CHANNELS, HEIGHT);
    for (int c = 0; c < 3; c++) colour[c] *= shade;
  }
  if (v->heap > 0.f && v->heap_behind > 0.f) {  // a second layer of the heap, in the shadow of the first
    float coverage = object(v, s, pools, on_layer(v, s, pools->noises, q, 1), q, layer);
    for (int c = 0; c < 3; c++) layer[c] *= v->heap_behind;
    over(colour, coverage, layer);
  }
  over(colour, object(v, s, pools, o, q, layer), layer);
  float cover = 0.f, words = 0.f, cx = at.x - v->cover_place[0], cy = at.y - v->cover_place[1];
  if (v->cover > 0.f && fabsf(cx) < v->cover_size[0] && fabsf(cy) < v->cover_size[1])
    cover = v->cover_is_box > 0.f ? 1.f : plane(pools->prints, s->cover, cx / v->cover_size[0], cy / v->cover_size[1]);
  float wx = at.x - v->words_place[0], wy = at.y - v->words_place[1];
  if (v->words > 0.f && fabsf(wx) < v->words_size[0] && fabsf(wy) < v->words_size[1])
    words = plane(pools->prints, s->words, wx / v->words_size[0], wy / v->words_size[1]);
  int inside = fabsf(ex) <= 1.f && fabsf(ey) <= 1.f;
  const float* m = v->matrix;
  for (int c = 0; c < 3; c++) {
    float value = m[3 * c] * colour[0] + m[3 * c + 1] * colour[1] + m[3 * c + 2] * colour[2] + v->offset;
    value = powf(clamped((value - 0.5f) * v->contrast + 0.5f, 1e-4f, 1.f), v->gamma);
    value += v->inverted * (1.f - 2.f * value);
    if (!inside) value += v->frame * (v->frame_colour[c] - value);
    value += cover * (v->cover_colour[c] - value);
    out[c] = value + words * (v->words_colour[c] - value);
  }
}

FUNCTION u32 mixed(u32 x) {
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

FUNCTION float gauss(u32 seed) {
  float u = (mixed(seed) + 1.f) * 2.3283064e-10f, v = mixed(seed ^ 0x9e3779b9U) * 2.3283064e-10f;
  return sqrtf(-2.f * logf(clamped(u, 1e-7f, 1.f))) * cosf(6.2831853f * v);
}

FUNCTION u16 as_bfloat16(float value) {
  union {
    float f;
    u32 u;
  } bits;
  bits.f = value;
  return (u16)((bits.u + 0x7fffU + ((bits.u >> 16) & 1)) >> 16);
}

FUNCTION int within(int i, int side) { return i < 0 ? 0 : i >= side ? side - 1 : i; }

// Blur over 5 x 5 pixels, near and every second one, and noise.
FUNCTION void soften(const View* v, const float* in, int side, int y, int x, u32 seed, u16* out) {
  const float k[5] = {1.f / 16, 4.f / 16, 6.f / 16, 4.f / 16, 1.f / 16};
  float near[3] = {0, 0, 0}, far[3] = {0, 0, 0}, value[3];
  for (int c = 0; c < 3; c++) value[c] = in[(y * side + x) * 3 + c];
  if (v->blur[0] > 0.f || v->blur[1] > 0.f) {
    for (int j = -2; j <= 2; j++)
      for (int i = -2; i <= 2; i++)
        for (int c = 0; c < 3; c++) {
          near[c] += k[j + 2] * k[i + 2] * in[(within(y + j, side) * side + within(x + i, side)) * 3 + c];
          far[c] += k[j + 2] * k[i + 2] * in[(within(y + 2 * j, side) * side + within(x + 2 * i, side)) * 3 + c];
        }
    for (int c = 0; c < 3; c++) {
      value[c] += v->blur[0] * (near[c] - value[c]);
      value[c] += v->blur[1] * (far[c] - value[c]);
    }
  }
  for (int c = 0; c < 3; c++)
    out[c] = as_bfloat16(clamped(value[c] + (v->noise > 0.f ? v->noise * gauss(seed * 3u + c) : 0.f), 0.f, 1.f));
}

FUNCTION Point centre(int t, int side) {
  Point at = {(t % side + 0.5f) * 2.f / side - 1.f, (t / side + 0.5f) * 2.f / side - 1.f};
  return at;
}

#ifdef GPU
extern "C" __global__ void paint(const u8* shapes, const u8* patterns, const u8* grounds, const u8* prints, const u8* noises,
                                 const View* views, const Sources* sources, float* out, int side) {
  __shared__ View view;
  __shared__ Sources source;
  i64 number = blockIdx.y;
  for (int k = threadIdx.x; k < sizeof(View) / 4; k += blockDim.x) ((float*)&view)[k] = ((const float*)(views + number))[k];
  if (threadIdx.x < sizeof(Sources) / 8) ((i64*)&source)[threadIdx.x] = ((const i64*)(sources + number))[threadIdx.x];
  __syncthreads();
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= side * side) return;
  Pools pools = {shapes, patterns, grounds, prints, noises};
  pixel(&view, &source, &pools, centre(t, side), out + (number * side * side + t) * 3);
}
extern "C" __global__ void finish(const float* in, const View* views, u16* out, int side, u32 seed) {
  i64 number = blockIdx.y;
  int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= side * side) return;
  i64 start = number * side * side;
  soften(views + number, in + start * 3, side, t / side, t % side, seed + (u32)(start + t), out + (start + t) * 3);
}
#else
void paint(const u8* shapes, const u8* patterns, const u8* grounds, const u8* prints, const u8* noises, const View* views,
           const Sources* sources, float* out, int side, int count) {
  Pools pools = {shapes, patterns, grounds, prints, noises};
  for (i64 number = 0; number < count; number++)
    for (int t = 0; t < side * side; t++)
      pixel(views + number, sources + number, &pools, centre(t, side), out + (number * side * side + t) * 3);
}
void finish(const float* in, const View* views, u16* out, int side, u32 seed, int count) {
  for (i64 number = 0; number < count; number++)
    for (int t = 0; t < side * side; t++) {
      i64 start = number * side * side;
      soften(views + number, in + start * 3, side, t / side, t % side, seed + (u32)(start + t), out + (start + t) * 3);
    }
}
#endif
