"""The opponent of exported C: the same network in float C, as one would write it by hand."""

from torch import nn

import snntorch_binary as sb


def _numbers(folder, name, values):
    """Numbers in a file that the assembler includes: a compiler would read millions of them for minutes."""
    path = folder / f"{name}.f32"
    path.write_bytes(values.detach().contiguous().numpy().astype("<f4").tobytes())
    size = 4 * values.numel()
    place = f'.section .far,\\"a\\"\\n.balign 4\\n{name}: .incbin \\"{path}\\"\\n.size {name}, {size}\\n.text\\n'
    return f'__asm__("{place}");\nextern const float {name}[{values.numel()}];'


def write_float_c(net, shape, folder):
    """Write `net.h` and `net.c` of a network with weights of 32 bits; return how many weights there are.

    Args:
        net: a sequence of flattening, linear and convolutional layers, 2x2 max pooling and leaky neurons.
        shape: channels, height and width of its input, or one size.
        folder: to write to.
    """
    folder.mkdir(exist_ok=True)
    layers = [getattr(module, "module", module) for module in sb.freeze(net)]
    channels, height, width = (shape[0], 1, 1) if len(shape) == 1 else shape
    constants, state, rooms, steps, weights = [], [], [], [], 0
    now, spikes = "", "events, (int)n"
    for i, layer in enumerate(layers):
        size = channels * height * width
        if isinstance(layer, nn.Linear):
            # A flattened map has its channels together here, and apart in the weights.
            weight = layer.weight.view(-1, channels, height, width).permute(2, 3, 1, 0)
            channels, height, width = layer.out_features, 1, 1
            steps.append(f"float_linear({spikes}, weight{i}, bias{i}, {channels}, room{i});")
        elif isinstance(layer, nn.Conv2d):
            assert (layer.stride, layer.padding, layer.dilation, layer.groups) == ((1, 1), (0, 0), (1, 1), 1)
            weight, kernel = layer.weight.permute(1, 2, 3, 0), layer.kernel_size[0]
            sizes = f"{channels}, {height}, {width}, {kernel}, {layer.out_channels}"
            steps.append(f"float_conv({spikes}, weight{i}, bias{i}, {sizes}, room{i});")
            channels, height, width = layer.out_channels, height - kernel + 1, width - kernel + 1
        elif isinstance(layer, nn.MaxPool2d):
            assert (layer.kernel_size, layer.stride) == (2, 2)
            steps.append(f"float_pool({now}, {channels}, {height}, {width}, room{i});")
            height, width = height // 2, width // 2
        elif isinstance(layer, sb.nn.Leaky):
            beta, threshold = f"{float(layer.beta):.9g}f", f"{float(layer.threshold):.1f}f"
            state.append(f"float mem{i}[{size}];")
            rooms.append(f"static uint16_t events{i}[{size}];")
            steps.append(f"n{i} = float_leaky({now}, {size}, {beta}, {threshold}, s->mem{i}, events{i});")
            steps[0:0] = [f"int n{i};"]
            spikes = f"events{i}, n{i}"
            continue
        else:
            assert isinstance(layer, nn.Flatten)
            continue
        now = f"room{i}"
        rooms.append(f"static float room{i}[{channels * height * width}];")
        if not isinstance(layer, nn.MaxPool2d):
            constants += [_numbers(folder, f"weight{i}", weight), _numbers(folder, f"bias{i}", layer.bias)]
            weights += weight.numel()
    (folder / "net.h").write_text(_HEADER.format(state=" ".join(state), classes=channels))
    body = [f"    {step}" for step in (*steps, "s->steps++;")]
    (folder / "net.c").write_text(_CODE.format(parts="\n".join([*constants, *rooms]), steps="\n".join(body), now=now))
    return weights


_HEADER = """#include <stdint.h>
#define NET_MEMBERS 1
#define NET_CLASSES {classes}
typedef struct {{ {state} float total[NET_CLASSES]; uint32_t steps; }} net_state;
void net_reset(net_state *s);
void net_step_events(net_state *s, const uint16_t *events, uint32_t n);
void net_scores(const net_state *s, float *scores);
"""
_CODE = """#include <string.h>
#include "net.h"
#include "float_layers.h"
{parts}
void net_reset(net_state *s) {{ memset(s, 0, sizeof *s); }}
void net_step_events(net_state *s, const uint16_t *events, uint32_t n) {{
    int i;
{steps}
    for (i = 0; i < NET_CLASSES; i++) s->total[i] += {now}[i];
}}
void net_scores(const net_state *s, float *scores) {{
    int i;
    for (i = 0; i < NET_CLASSES; i++) scores[i] = s->total[i] / (float)s->steps;
}}
"""
