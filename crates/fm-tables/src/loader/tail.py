END = 1e-7  # the probability of the ends of quantiles


def to_normal(q, x):
    """The normal values of a column with the quantiles q."""
    left, right, last = torch.searchsorted(q, x), torch.searchsorted(q, x, right=True), len(q) - 1
    a, b = q[(left - 1).clamp(0, last)], q[left.clamp(0, last)]
    between = (left - 1 + (x - a) / torch.where(b > a, b - a, 1.0)) / last
    p = torch.where(left < right, 0.5 * (left + right - 1) / last, between)
    p = torch.where(x <= q[0], 0.0, torch.where(x >= q[-1], 1.0, p)).clamp(END, 1 - END)
    return torch.zeros_like(x) if q[0] == q[-1] else torch.special.ndtri(p)


def from_normal(q, z):
    p = torch.special.ndtr(z)
    p = torch.where(p < END, 0.0, torch.where(p > 1 - END, 1.0, p)) * (len(q) - 1)
    below = p.floor().long()
    return torch.lerp(q[below], q[(below + 1).clamp(max=len(q) - 1)], p - below)


def to_network(rows):
    """Rows (B, columns) of the table in the network's units."""
    out = []
    for k, x in enumerate(torch.as_tensor(rows, dtype=torch.float64).unbind(1)):
        if COLUMNS.get("limits"):
            x = x.clamp(*COLUMNS["limits"][k])
        if COLUMNS.get("quantiles"):
            x = to_normal(torch.tensor(COLUMNS["quantiles"][k], dtype=torch.float64), x)
        elif COLUMNS["log1p"]:
            x = x.log1p()
        out.append((x - COLUMNS["mean"][k]) / (COLUMNS["deviation"][k] or 1.0))
    return torch.stack(out, 1).float()


def to_table(x):
    """Rows of the network in the units of the table, in double precision."""
    out = []
    for k, z in enumerate(x.detach().cpu().double().unbind(1)):
        z = z * COLUMNS["deviation"][k] + COLUMNS["mean"][k]
        if COLUMNS["log1p"]:
            z = z.expm1()
            z = (z.round() if COLUMNS["whole"] else z).clamp(min=0.0)
        elif COLUMNS.get("quantiles"):
            z = from_normal(torch.tensor(COLUMNS["quantiles"][k], dtype=torch.float64), z)
        out.append(z.clamp(min=0.0) if COLUMNS.get("non_negative") else z)
    return torch.stack(out, 1)


def tensors(path):
    """The weights, and the tensors of the source by name."""
    held = torch.load(path, map_location="cpu", weights_only=True)
    source = {name[7:]: held.pop(name) for name in list(held) if name.startswith("source.")}
    return held, source


def start(count, generator=None, path=pathlib.Path(__file__).with_name("WEIGHTS")):
    """Rows of the source, in the network's units."""
    source = tensors(path)[1]
    if "rows" in source:
        return source["rows"][torch.randint(len(source["rows"]), (count,), generator=generator)]
    if CONFIG["source"] != "gaussian":
        raise ValueError(f"the source is {CONFIG['source']}: draw rows of it, and give them to to_network")
    z = torch.randn(count, len(COLUMNS["mean"]), generator=generator)
    if "log_scale" in source:
        return z * source["log_scale"].exp()
    return z * F.softplus(source["variance"]).sqrt() + source["mean"] if source else z


def load(path=pathlib.Path(__file__).with_name("WEIGHTS")):
    model = Velocity()
    model.load_state_dict(tensors(path)[0], strict=True)
    return model.eval()
