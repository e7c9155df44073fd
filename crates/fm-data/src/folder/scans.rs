//! Whether the scans of a JPEG image have data for all of its blocks. Decoders fill the rest of a
//! scan that ends early with grey, so the codes of all blocks are read here, without their pixels.

use super::bits::{Bits, Codes, Stop};
use super::standard;

/// The largest number of scans that are read; the decoder allows no more.
const SCANS: usize = 100;

/// A component of the frame.
#[derive(Debug, Default)]
struct Component {
    id: u8,
    /// Blocks per MCU, across and down.
    sampling: [usize; 2],
    /// Blocks of a scan of this component alone, across and down.
    blocks: [usize; 2],
    /// The coefficients of each block that are not zero, which later scans refine.
    history: Vec<u64>,
    /// The number of low bits of each coefficient that no scan has contained.
    missing: Option<[u8; 64]>,
}

/// A frame: progressive or not, its MCUs across and down, and its components.
#[derive(Debug, Default)]
struct Frame {
    progressive: bool,
    mcus: [usize; 2],
    components: Vec<Component>,
}

/// The content of a scan: coefficients `from..=to` up to bit `low`; refined if `high` is not 0.
#[derive(Debug, Clone, Copy)]
struct Band {
    from: u32,
    to: u32,
    high: u8,
    low: u8,
}

/// A component in a scan, by its place in the frame, with its tables.
type Member<'c> = (usize, Option<&'c Codes>, Option<&'c Codes>);

/// Reads the codes of a whole image: up to its end marker. Only Huffman codes of 8 bits per value
/// are checked, as the decoder reads no others.
///
/// # Errors
/// Data that end before the last block or the last bit, or have invalid codes.
pub(super) fn check(bytes: &[u8]) -> Result<(), Stop> {
    let mut frame = Frame::default();
    let mut tables: [[Option<Codes>; 4]; 2] = Default::default();
    read_tables(&standard::TABLES[standard::HEADER..], &mut tables)?;
    let (mut interval, mut at, mut scans) = (0, 2, 0);
    loop {
        at = Bits::new(bytes, at).end();
        let Some(marker) = bytes.get(at + 1) else { return Ok(()) };
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            at += 2;
            continue;
        }
        if *marker == 0xd9 {
            return frame.end(scans);
        }
        let Some([high, low, ..]) = bytes.get(at + 2..) else { return Ok(()) };
        let next = at + 2 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(segment) = bytes.get(at + 4..next) else { return Ok(()) };
        at = next;
        match (marker, segment) {
            (0xc0..=0xc2, _) => match Frame::new(*marker == 0xc2, segment) {
                Some(new) if frame.components.is_empty() => frame = new,
                _ => return Ok(()),
            },
            // Without losses, of several resolutions, or with arithmetic codes.
            (0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, _) => return Ok(()),
            (0xc4, _) => read_tables(segment, &mut tables)?,
            (0xdd, [high, low, ..]) => interval = usize::from(u16::from_be_bytes([*high, *low])),
            (0xda, _) => {
                scans += 1;
                let (members, band) = frame.members(segment, &tables).ok_or(Stop::Invalid)?;
                if scans > SCANS || !frame.has_tables(&members, band) {
                    return Ok(());
                }
                let mut bits = Bits::new(bytes, at);
                frame.scan(&members, band, interval, &mut bits)?;
                at = bits.end();
            }
            _ => {}
        }
    }
}

/// Huffman tables: class and number, the numbers of codes, and the symbols.
fn read_tables(mut segment: &[u8], tables: &mut [[Option<Codes>; 4]; 2]) -> Result<(), Stop> {
    while let Some((name, rest)) = segment.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Stop::Invalid)?;
        let length = counts.iter().map(|n| usize::from(*n)).sum();
        let (symbols, rest) = rest.split_at_checked(length).ok_or(Stop::Invalid)?;
        let table = tables.get_mut(usize::from(name >> 4)).and_then(|class| class.get_mut(usize::from(name & 15)));
        *table.ok_or(Stop::Invalid)? = Some(Codes::new(*counts, symbols).ok_or(Stop::Invalid)?);
        segment = rest;
    }
    Ok(())
}

impl Frame {
    /// `None` for frames that are not checked: of an unknown height, or not of 8 bits.
    fn new(progressive: bool, segment: &[u8]) -> Option<Self> {
        let (&[8, h1, h0, w1, w0, count], rest) = segment.split_first_chunk()? else { return None };
        let size = [[w1, w0], [h1, h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let parts = rest.as_chunks::<3>().0.get(..usize::from(count))?;
        let sampling = |part: &[u8; 3]| [part[1] >> 4, part[1] & 15].map(usize::from);
        let most = parts.iter().map(sampling).reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])])?;
        if size.contains(&0) || parts.len() > 4 || parts.iter().any(|part| sampling(part).contains(&0)) {
            return None;
        }
        let components = parts.iter().map(|part| {
            let sampling = sampling(part);
            let blocks = [0, 1].map(|d| (size[d] * sampling[d]).div_ceil(8 * most[d]));
            let history = if progressive { vec![0; blocks[0] * blocks[1]] } else { Vec::new() };
            Component { id: part[0], sampling, blocks, history, missing: None }
        });
        let mcus = [0, 1].map(|d| size[d].div_ceil(8 * most[d]));
        Some(Self { progressive, mcus, components: components.collect() })
    }

    /// The components of a scan, and its band.
    fn members<'c>(&self, segment: &[u8], tables: &'c [[Option<Codes>; 4]; 2]) -> Option<(Vec<Member<'c>>, Band)> {
        let (count, rest) = segment.split_first()?;
        let (parts, band) = rest.split_at_checked(2 * usize::from(*count))?;
        let member = |part: &[u8; 2]| {
            let place = self.components.iter().position(|component| component.id == part[0])?;
            let [dc, ac] = [part[1] >> 4, part[1] & 15].map(usize::from);
            Some((place, tables[0].get(dc)?.as_ref(), tables[1].get(ac)?.as_ref()))
        };
        let members: Vec<_> = parts.as_chunks().0.iter().map(member).collect::<Option<_>>()?;
        let band = match band {
            [from, to, bits, ..] if self.progressive && from <= to && *to < 64 => {
                Band { from: (*from).into(), to: (*to).into(), high: bits >> 4, low: bits & 15 }
            }
            _ if self.progressive => return None,
            _ => Band { from: 0, to: 63, high: 0, low: 0 },
        };
        // Only scans of the first coefficient have several components.
        (!members.is_empty() && (members.len() == 1 || !self.progressive || band.to == 0)).then_some((members, band))
    }

    /// Whether the tables of the codes of a scan are in the file, or those of the specification.
    fn has_tables(&self, members: &[Member<'_>], band: Band) -> bool {
        members.iter().all(|(_, dc, ac)| match (self.progressive, band.from) {
            (false, _) => dc.is_some() && ac.is_some(),
            (true, 0) => dc.is_some() || band.high > 0,
            (true, _) => ac.is_some(),
        })
    }

    /// Reads the codes of a scan.
    fn scan(&mut self, members: &[Member<'_>], band: Band, interval: usize, bits: &mut Bits<'_>) -> Result<(), Stop> {
        for (place, ..) in members {
            let missing = self.components[*place].missing.get_or_insert([0; 64]);
            missing[band.from as usize..=band.to as usize].fill(band.low);
        }
        let single = members.len() == 1;
        let [across, down] = if single { self.components[members[0].0].blocks } else { self.mcus };
        let mut run = 0;
        for mcu in 0..across * down {
            if interval > 0 && mcu > 0 && mcu % interval == 0 {
                bits.restart()?;
                run = 0;
            }
            for (place, dc, ac) in members {
                let component = &mut self.components[*place];
                let count = if single { 1 } else { component.sampling[0] * component.sampling[1] };
                for _ in 0..count {
                    match (self.progressive, band.from) {
                        (false, _) => sequential(bits, dc.ok_or(Stop::Invalid)?, ac.ok_or(Stop::Invalid)?)?,
                        (true, 0) if band.high > 0 => bits.skip(1)?,
                        (true, 0) => first_value(bits, dc.ok_or(Stop::Invalid)?)?,
                        (true, _) => {
                            let history = component.history.get_mut(mcu).ok_or(Stop::Invalid)?;
                            let codes = ac.ok_or(Stop::Invalid)?;
                            match band.high {
                                0 => begin(bits, codes, band, history, &mut run)?,
                                _ => refine(bits, codes, band, history, &mut run)?,
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the scans had all components, to their last bit.
    fn end(&self, scans: usize) -> Result<(), Stop> {
        if scans == 0 || self.components.iter().any(|component| component.missing.is_none()) {
            return Err(Stop::End);
        }
        let bits = self.components.iter().filter_map(|component| component.missing).flatten();
        if bits.max() > Some(0) { Err(Stop::Unrefined) } else { Ok(()) }
    }
}

/// The first coefficient of a block: the number of its bits, and the bits.
fn first_value(bits: &mut Bits<'_>, dc: &Codes) -> Result<(), Stop> {
    let size = bits.symbol(dc)?;
    bits.skip(size.into())
}

/// Run of zeros and number of bits of a coefficient.
fn pair(bits: &mut Bits<'_>, ac: &Codes) -> Result<(u32, u32), Stop> {
    let symbol = bits.symbol(ac)?;
    Ok(((symbol >> 4).into(), (symbol & 15).into()))
}

/// A block of a sequential scan.
fn sequential(bits: &mut Bits<'_>, dc: &Codes, ac: &Codes) -> Result<(), Stop> {
    first_value(bits, dc)?;
    let mut k = 1;
    while k < 64 {
        match pair(bits, ac)? {
            (15, 0) => k += 16,
            (_, 0) => break,
            (zeros, size) => {
                bits.skip(size)?;
                k += zeros + 1;
            }
        }
    }
    Ok(())
}

/// The first bits of a band of a block; `run` counts blocks to come whose band is zero.
fn begin(bits: &mut Bits<'_>, ac: &Codes, band: Band, history: &mut u64, run: &mut u32) -> Result<(), Stop> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = band.from;
    while k <= band.to {
        match pair(bits, ac)? {
            (15, 0) => k += 16,
            (size, 0) => {
                *run = (1 << size) + bits.take(size)? - 1;
                break;
            }
            (zeros, size) => {
                bits.skip(size)?;
                k += zeros;
                *history |= 1u64.checked_shl(k).unwrap_or(0);
                k += 1;
            }
        }
    }
    Ok(())
}

/// One more bit of a band of a block: one for each coefficient that is not zero, and new ones.
fn refine(bits: &mut Bits<'_>, ac: &Codes, band: Band, history: &mut u64, run: &mut u32) -> Result<(), Stop> {
    let (mut k, mut new) = (band.from, 0u64);
    while *run == 0 && k <= band.to {
        let (mut zeros, size) = pair(bits, ac)?;
        if size == 0 && zeros < 15 {
            *run = (1 << zeros) + bits.take(zeros)?;
            break;
        }
        bits.skip(size.min(1))?;
        let mut known = 0;
        while k <= band.to {
            if *history >> k & 1 == 1 {
                known += 1;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        bits.skip(known)?;
        if size > 0 && k <= band.to {
            new |= 1 << k;
        }
        k += 1;
    }
    if *run > 0 {
        let rest = if k > band.to { 0 } else { u64::MAX >> (63 - band.to) & u64::MAX << k };
        bits.skip((*history & rest).count_ones())?;
        *run -= 1;
    }
    *history |= new;
    Ok(())
}
