KIND = NETWORK.get("layer", "concat-squash")


class Layer(nn.Module):
    """A layer of the ConcatSquash family, of a state h (B, in) and a context c (B, width)."""
    def __init__(self, fan_in, out, context):
        super().__init__()
        if KIND != "hyper":
            self.lin1 = nn.Linear(fan_in + (context if KIND == "concat" else 0), out)
        if KIND in ("concat-squash", "concat-scale", "squash", "scale"):
            self.lin2 = nn.Linear(context, out)
        elif KIND == "hyper":
            self.lin2 = nn.Linear(context, fan_in * out + out)
        elif KIND in ("blend", "gate"):
            self.lin2 = nn.Linear(fan_in, out)
        if KIND in ("concat-squash", "concat-scale", "concat-v2"):
            self.lin3 = nn.Linear(context, out, bias=False)
        if NETWORK.get("interval"):
            self.interval = nn.Linear(1, out, bias=False)
        self.out = out

    def forward(self, x, c):
        if KIND == "concat":
            return self.lin1(torch.cat([c, x], 1))
        if KIND == "hyper":
            made = self.lin2(c)
            matrix = made[:, self.out:].unflatten(1, (self.out, -1))
            return (matrix @ x[:, :, None])[:, :, 0] + made[:, :self.out]
        if KIND == "blend":
            return torch.lerp(self.lin1(x), self.lin2(x), c[:, :1])
        if KIND == "gate":
            return self.lin1(x) * self.lin2(x).sigmoid()
        y = self.lin1(x)
        if KIND in ("concat-squash", "squash"):
            y = y * self.lin2(c).sigmoid()
        if KIND in ("concat-scale", "scale"):
            y = y * self.lin2(c)
        return y + self.lin3(c) if KIND in ("concat-squash", "concat-scale", "concat-v2") else y


def monomials(x):
    """All monomials of the columns up to the degree, as scikit-learn's PolynomialFeatures orders them."""
    last = all_of_them = list(x.split(1, 1))
    for _ in range(1, NETWORK.get("degree", 1)):
        last = [x[:, k:k + 1] * torch.cat(last[k:], 1) for k in range(x.shape[1])]
        all_of_them = all_of_them + last
    return torch.cat(all_of_them, 1)


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        c = NETWORK
        outputs = c["dim"] * (2 if c.get("score") else 1)
        widths = [math.comb(c["dim"] + c.get("degree", 1), c["dim"]) - 1, *c["widths"], outputs]
        context = 1 + (c["class_width"] if LABELS else 0)
        self.layers = nn.ModuleList(Layer(a, b, context) for a, b in zip(widths, widths[1:]))
        self.activation = ACTIVATIONS[c.get("activation", "tanh")]()
        if LABELS:
            self.label_emb = nn.Embedding(LABELS, c["class_width"])

    def forward(self, x, t, labels=None, h=None):
        context, labels = of_rows(t, x)[:, None], labelled(labels, x)
        if LABELS:
            if labels is None:
                raise ValueError("this network has classes and no null label: give labels")
            context = torch.cat([context, self.label_emb(labels)], 1)
        state = monomials(x)
        for i, layer in enumerate(self.layers):
            state = layer(self.activation(state) if i else state, context)
            if h is not None:
                state = state + layer.interval(of_rows(h, x)[:, None])
        return state


