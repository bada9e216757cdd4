//! How much memory there is to have.

use std::path::Path;

/// Bytes that the system could give this process now: what is available, within what its control groups have left. `None` where neither
/// is told.
#[must_use]
pub fn available() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    of_groups(&groups, Path::new("/sys/fs/cgroup"), &left_of).into_iter().chain(of_machine("MemAvailable:")).min()
}

/// Bytes that this process can ever have: what the machine has, within the limits of its control groups. `None` where neither is told.
#[must_use]
pub fn limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    of_groups(&groups, Path::new("/sys/fs/cgroup"), &limit_of).into_iter().chain(of_machine("MemTotal:")).min()
}

/// What a line of `/proc/meminfo` says, in bytes.
fn of_machine(line: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|text| text.strip_prefix(line))?;
    Some(kib.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Files of a group that say its limit, what it holds, and which line of `memory.stat` says how much of that are pages of files that would go first.
type Names = [&'static str; 3];
const VERSION_1: Names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
const VERSION_2: Names = ["memory.max", "memory.current", "inactive_file"];

/// The least that `bytes_of` says of the memory of the control groups that `groups` (as `/proc/self/cgroup`) names and those above them,
/// version 1 or 2.
fn of_groups(groups: &str, root: &Path, bytes_of: &dyn Fn(&Path, Names) -> Option<u64>) -> Option<u64> {
    let least = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let (root, names) = match controllers {
            "" => (root.to_owned(), VERSION_2),
            _ if controllers.split(',').any(|controller| controller == "memory") => (root.join("memory"), VERSION_1),
            _ => return None,
        };
        let own = root.join(group.trim_start_matches('/'));
        let above = own.ancestors().take_while(|folder| folder.starts_with(&root));
        above.filter_map(|folder| bytes_of(folder, names)).min()
    };
    groups.lines().filter_map(least).min()
}

/// What a group's limit leaves: pages of files that were not used of late make room. `None` where it has no limit.
fn left_of(folder: &Path, names: Names) -> Option<u64> {
    let limit = limit_of(folder, names)?;
    let [_, used, inactive] = names;
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let pages = stat.lines().find_map(|line| line.strip_prefix(inactive)?.strip_prefix(' ')?.trim().parse::<u64>().ok());
    let held = number_in(&folder.join(used)).unwrap_or(0).saturating_sub(pages.unwrap_or(0));
    Some(limit.saturating_sub(held))
}

/// A group's limit. `None` where it has none, for which "max" stands.
fn limit_of(folder: &Path, [limit, ..]: Names) -> Option<u64> {
    number_in(&folder.join(limit))
}

fn number_in(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_left_above_a_group_counts_under_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/memory.max", "3000\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "2000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limit = |groups: &str| of_groups(groups, folder.path(), &left_of);
        assert_eq!(limit("0::/a/b\n"), Some(3000));
        assert_eq!(limit("4:memory:/c\n3:cpu,cpuacct:/c\n0::/\n"), Some(2000));
        assert_eq!(limit("4:memory:/\n"), Some(9_223_372_036_854_771_712));
        assert_eq!(limit("0::/none\n"), None);
        assert_eq!(limit(""), None);
        // What is held counts, but for pages of files that would go.
        write("a/memory.current", "2500\n");
        assert_eq!(limit("0::/a/b\n"), Some(500));
        write("a/memory.stat", "anon 900\ninactive_file 700\nactive_file 900\n");
        assert_eq!(limit("0::/a/b\n"), Some(1200));
        write("a/b/memory.max", "1000\n");
        write("a/b/memory.current", "1100\n");
        assert_eq!(limit("0::/a/b\n"), Some(0));
        write("memory/c/memory.usage_in_bytes", "1500\n");
        write("memory/c/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
        assert_eq!(limit("4:memory:/c\n"), Some(600));
        let whole = |groups: &str| of_groups(groups, folder.path(), &limit_of);
        assert_eq!((whole("0::/a\n"), whole("0::/a/b\n"), whole("4:memory:/c\n")), (Some(3000), Some(1000), Some(2000)));
    }

    #[test]
    fn a_machine_says_how_much_it_has() {
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
        assert!(limit() >= available());
    }
}
