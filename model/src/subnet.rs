//! Carving subnets out of the platform's pools. Pure arithmetic: which range comes next. The truth
//! about what is taken lives in Postgres, under an exclusion constraint.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Prefix length of a network that asks for none.
pub const DEFAULT_PREFIX: u8 = 24;
/// Prefix length of the largest network.
pub const SHORTEST_PREFIX: u8 = 22;
/// Prefix length of the smallest network.
pub const LONGEST_PREFIX: u8 = 26;

/// The first subnet of `prefix` bits in `pool` that starts at `from` or later.
pub fn carve(pool: Ipv4Net, from: Ipv4Addr, prefix: u8) -> Option<Ipv4Net> {
    if prefix < pool.prefix_len() || prefix > 32 {
        return None;
    }
    let size = 1u64 << (32 - prefix);
    let from = u64::from(u32::from(from.max(pool.network())));
    let start = u32::try_from(from.next_multiple_of(size)).ok()?;
    let subnet = Ipv4Net::new(Ipv4Addr::from(start), prefix).ok()?;
    pool.contains(&subnet).then_some(subnet)
}

/// The address after the last one of `subnet`; `None` at the end of the address space.
pub fn after(subnet: Ipv4Net) -> Option<Ipv4Addr> {
    u32::from(subnet.broadcast()).checked_add(1).map(Ipv4Addr::from)
}

/// The first subnet of `prefix` bits in `pool` that overlaps none of `taken`, searched from
/// `cursor` to the end and then from the start. `taken` needs no order.
pub fn next_free(
    pool: Ipv4Net,
    cursor: Ipv4Addr,
    prefix: u8,
    taken: &[Ipv4Net],
) -> Option<Ipv4Net> {
    let mut taken = taken.to_vec();
    taken.sort_unstable_by_key(Ipv4Net::network);
    first_gap(pool, cursor, prefix, &taken)
        .or_else(|| first_gap(pool, pool.network(), prefix, &taken))
}

/// How many subnets of `prefix` bits in `pool` overlap none of `taken`, which needs no order and may overlap itself.
pub fn free_subnets(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net]) -> u64 {
    if prefix < pool.prefix_len() || prefix > 32 {
        return 0;
    }
    let size = 1u64 << (32 - prefix);
    let mut taken: Vec<_> = taken
        .iter()
        .map(|net| (u64::from(u32::from(net.network())), u64::from(u32::from(net.broadcast()))))
        .collect();
    taken.sort_unstable();
    let end = u64::from(u32::from(pool.broadcast())) + 1;
    let mut free = 0;
    let mut from = u64::from(u32::from(pool.network()));
    for (first, last) in taken.into_iter().chain([(end, end)]) {
        free += (first.min(end) / size).saturating_sub(from.div_ceil(size));
        from = from.max(last + 1);
    }
    free
}

fn first_gap(pool: Ipv4Net, from: Ipv4Addr, prefix: u8, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let mut candidate = carve(pool, from, prefix)?;
    for other in taken {
        if other.broadcast() < candidate.network() {
            continue;
        }
        if other.network() > candidate.broadcast() {
            break;
        }
        candidate = carve(pool, after(*other)?, prefix)?;
    }
    Some(candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
        one.contains(other) || other.contains(one)
    }

    #[test]
    fn carves_in_order_and_wraps() {
        let pool = net("10.64.0.0/22");
        let mut taken = Vec::new();
        for third in [2, 3, 0, 1] {
            let subnet = next_free(pool, "10.64.2.0".parse().unwrap(), 24, &taken);
            assert_eq!(subnet, Some(net(&format!("10.64.{third}.0/24"))));
            taken.extend(subnet);
        }
        assert_eq!(next_free(pool, pool.network(), 24, &taken), None);
    }

    #[test]
    fn a_pool_smaller_than_the_subnet_has_none() {
        assert_eq!(next_free(net("10.0.0.0/25"), "10.0.0.0".parse().unwrap(), 24, &[]), None);
    }

    proptest! {
        #[test]
        fn what_is_free_is_counted(
            taken in prop::collection::vec((0u32..0x1000, 20u8..=30), 0..40),
            prefix in 20u8..=28,
        ) {
            let pool = net("10.64.0.0/20");
            // Some reach out of the pool, some lie beside it, some overlap each other.
            let taken: Vec<Ipv4Net> = taken.into_iter()
                .map(|(offset, prefix)| {
                    let address = u32::from(pool.network()) - 0x800 + 2 * offset;
                    Ipv4Net::new(Ipv4Addr::from(address), prefix).unwrap().trunc()
                })
                .collect();
            let free = pool.subnets(prefix).unwrap()
                .filter(|candidate| !taken.iter().any(|other| overlap(candidate, other)))
                .count() as u64;
            prop_assert_eq!(free_subnets(pool, prefix, &taken), free);
        }

        /// Each step: what is done (below), the prefix, and which of those that are there.
        #[test]
        fn in_any_order_of_taking_freeing_and_crashing_nothing_overlaps_and_nothing_leaks(
            steps in prop::collection::vec((0u8..8, 22u8..=26, any::<prop::sample::Index>()), 1..120),
        ) {
            let pool = net("10.64.0.0/18");
            let mut cursor = pool.network();
            let (mut live, mut resting): (Vec<Ipv4Net>, Vec<Ipv4Net>) = (Vec::new(), Vec::new());
            for (step, prefix, which) in steps {
                let taken = [live.clone(), resting.clone()].concat();
                match step {
                    // Taken; or its transaction did not come to its end, and nothing of it is there, the cursor neither.
                    0..=4 => match next_free(pool, cursor, prefix, &taken) {
                        Some(subnet) => {
                            prop_assert!(!taken.iter().any(|other| overlap(&subnet, other)));
                            if step < 4 {
                                cursor = after(subnet).unwrap_or(pool.network());
                                live.push(subnet);
                            }
                        }
                        None => prop_assert_eq!(free_subnets(pool, prefix, &taken), 0),
                    },
                    5 | 6 if !live.is_empty() => {
                        resting.push(live.swap_remove(which.index(live.len())));
                    }
                    // They have rested.
                    _ => resting.clear(),
                }
                let free = free_subnets(pool, LONGEST_PREFIX, &[live.clone(), resting.clone()].concat());
                let held: u64 = live.iter().chain(&resting)
                    .map(|subnet| 1u64 << (LONGEST_PREFIX - subnet.prefix_len()))
                    .sum();
                prop_assert_eq!(free + held, 1 << (LONGEST_PREFIX - pool.prefix_len()));
            }
        }

        #[test]
        fn what_is_carved_is_inside_and_free(
            prefixes in prop::collection::vec(22u8..=26, 1..60),
            cursors in prop::collection::vec(any::<u16>(), 60),
        ) {
            let pool = net("10.64.0.0/18");
            let mut taken: Vec<Ipv4Net> = Vec::new();
            for (prefix, cursor) in prefixes.into_iter().zip(cursors) {
                let cursor = Ipv4Addr::from(u32::from(pool.network()) + u32::from(cursor));
                let free = next_free(pool, cursor, prefix, &taken);
                // What brute force says decides whether there had to be one.
                let any_free = pool.subnets(prefix).unwrap()
                    .any(|candidate| !taken.iter().any(|other| overlap(&candidate, other)));
                prop_assert_eq!(free.is_some(), any_free);
                if let Some(subnet) = free {
                    prop_assert_eq!(subnet.prefix_len(), prefix);
                    prop_assert!(pool.contains(&subnet));
                    prop_assert!(!taken.iter().any(|other| overlap(&subnet, other)));
                    taken.push(subnet);
                }
            }
        }
    }
}
