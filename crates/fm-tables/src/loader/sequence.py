def linears(*widths):
    return nn.Sequential(nn.Linear(widths[0], widths[1]), nn.SiLU(), nn.Linear(widths[1], widths[2]))


def embed(t):
    """The sinusoidal embedding of times."""
    time = NETWORK["time"]
    t = t * time["scale"]
    t = t.round() if time["integer"] else t
    divisor = 128 if time["divisor"] == "half" else 127
    angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(128, device=t.device) / divisor)
    halves = [angles.cos(), angles.sin()]
    return torch.cat(halves if time["order"] == "cos-sin" else halves[::-1], 1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6, elementwise_affine=False) for _ in range(2))
        self.attn = nn.ModuleDict(dict(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width)))
        self.mlp = nn.ModuleDict(dict(fc1=nn.Linear(width, 4 * width), fc2=nn.Linear(4 * width, width)))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        b1, s1, g1, b2, s2, g2 = self.adaLN_modulation(c)[:, None].chunk(6, 2)
        h = self.norm1(x) * (1 + s1) + b1
        q, k, v = self.attn["qkv"](h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + g1 * self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        h = self.mlp["fc1"](self.norm2(x) * (1 + s2) + b2)
        return x + g2 * self.mlp["fc2"](F.gelu(h, approximate="tanh"))


class Final(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c)[:, None].chunk(2, 2)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        c, width = NETWORK, NETWORK["width"]
        self.x_embedder = nn.Linear(c["channels"], width)
        self.t_embedder = nn.ModuleDict(dict(mlp=linears(256, width, width)))
        if c.get("interval"):
            self.h_embedder = nn.ModuleDict(dict(mlp=linears(256, width, width)))
        if LABELS:
            self.y_embedder = nn.ModuleDict(dict(embedding_table=nn.Embedding(LABELS, width)))
        self.blocks = nn.ModuleList(Block(width, c["heads"]) for _ in range(c["depth"]))
        self.final_layer = Final(width, c["channels"])

    def forward(self, x, t, labels=None, h=None):
        shape, labels, width = x.shape, labelled(labels, x), NETWORK["width"]
        c = self.t_embedder["mlp"](embed(of_rows(t, x)))
        if NETWORK.get("interval"):
            c = c + self.h_embedder["mlp"](embed(of_rows(0 if h is None else h, x)))
        if LABELS:
            if labels is None:
                raise ValueError("this network has classes and no null label: give labels")
            c = c + self.y_embedder["embedding_table"](labels)
        x = self.x_embedder(x.reshape(len(x), -1, NETWORK["channels"]))
        place = torch.arange(x.shape[1], dtype=torch.float64)[:, None]
        angles = place * 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width // 2))
        x = x + torch.cat([angles.sin(), angles.cos()], 1).to(x)
        for block in self.blocks:
            x = block(x, c)
        return self.final_layer(x, c).reshape(shape)


