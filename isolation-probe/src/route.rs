//! Routes, as the kernel tells of them.

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;

/// The kernel's table. Columns: interface, destination, gateway, flags, …, mask (the eighth); addresses in hexadecimal, in the
/// machine's byte order.
const TABLE: &str = "/proc/net/route";

/// Most routes that are printed: who reads them keeps fewer by far, and a router with the whole internet's has a million.
const MOST: usize = 16_384;

/// Prints routes: `{interface} {range}`.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    for (interface, destination, prefix) in all(&fs::read_to_string(TABLE)?).into_iter().take(MOST)
    {
        println!("{interface} {destination}/{prefix}");
    }
    Ok(())
}

fn all(table: &str) -> Vec<(&str, Ipv4Addr, u32)> {
    let route = |line| {
        let columns: Vec<&str> = str::split_whitespace(line).collect();
        let (interface, destination, mask) = (columns.first()?, columns.get(1)?, columns.get(7)?);
        let mask = u32::from_str_radix(mask, 16).ok()?;
        Some((*interface, address(destination)?, mask.count_ones()))
    };
    table.lines().skip(1).filter_map(route).collect()
}

fn address(column: &str) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(u32::from_str_radix(column, 16).ok()?.to_ne_bytes()))
}

/// The gateway of the default route; none on a network that lets nothing out.
pub(crate) fn gateway() -> Option<Ipv4Addr> {
    of_table(&fs::read_to_string(TABLE).ok()?)
}

fn of_table(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (destination, gateway) = (columns.next()?, columns.next()?);
        let gateway = address(gateway)?;
        (destination == "00000000" && !gateway.is_unspecified()).then_some(gateway)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_gateway_is_found() {
        let head = "Iface\tDestination\tGateway \tFlags\n";
        let overlay = "eth0\t0000400A\t00000000\t0001\n";
        let gateway = u32::from_ne_bytes([172, 18, 0, 1]);
        let default = format!("eth1\t00000000\t{gateway:08X}\t0003\n");
        assert_eq!(of_table(&format!("{head}{overlay}")), None);
        let found = of_table(&format!("{head}{overlay}{default}"));
        assert_eq!(found, Some(Ipv4Addr::new(172, 18, 0, 1)));
    }

    #[test]
    fn every_route_has_its_range() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
             eth0\t{}\t{}\t0003\t0\t0\t0\t{}\neth1\t{}\t{}\t0001\t0\t0\t0\t{}\n",
            hex([0; 4]),
            hex([203, 0, 113, 254]),
            hex([0; 4]),
            hex([10, 8, 0, 0]),
            hex([0; 4]),
            hex([255, 252, 0, 0]),
        );
        let expected =
            [("eth0", Ipv4Addr::UNSPECIFIED, 0), ("eth1", Ipv4Addr::new(10, 8, 0, 0), 14)];
        assert_eq!(all(&table), expected);
    }
}
