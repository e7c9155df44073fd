class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        c = NETWORK
        outputs = c["dim"] * (2 if c.get("score") else 1)
        widths = [c["dim"] + 1 + LABELS, *c["widths"], outputs]
        layers = [[nn.Linear(a, b), ACTIVATIONS[c["activation"]]()] for a, b in zip(widths, widths[1:])]
        self.net = nn.Sequential(*sum(layers, [])[:-1])
        if c.get("interval"):
            self.interval = nn.Linear(1, widths[1], bias=False)

    def forward(self, x, t, labels=None, h=None):
        inputs, labels = [x, of_rows(t, x)[:, None]], labelled(labels, x)
        if LABELS:
            none = torch.zeros(len(x), LABELS, device=x.device)
            inputs.append(none if labels is None else F.one_hot(labels, LABELS).float())
        state = self.net[0](torch.cat(inputs, 1))
        if h is not None:
            state = state + self.interval(of_rows(h, x)[:, None])
        return self.net[1:](state)


