//! The default gateway, as the kernel tells of it.

use std::fs;
use std::net::Ipv4Addr;

/// The gateway of the default route; none on a network that lets nothing out.
pub(crate) fn gateway() -> Option<Ipv4Addr> {
    of_table(&fs::read_to_string("/proc/net/route").ok()?)
}

/// Columns: interface, destination, gateway, …; addresses in hexadecimal, in the machine's byte order.
fn of_table(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let (destination, gateway) = (columns.next()?, columns.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        (destination == "00000000" && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
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
}
