//! How much memory there is to have.

use std::path::Path;

/// Bytes that the system could give this process now: what is available, within the limit of its control group. `None` where neither
/// is told.
#[must_use]
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok();
    let line = text.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemAvailable:")));
    let machine = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| kib * 1024);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_of_group(&groups, Path::new("/sys/fs/cgroup")).into_iter().chain(machine).min()
}

/// The least memory limit among the control groups that `groups` (as `/proc/self/cgroup`) names and those above them, version 1 or 2.
fn limit_of_group(groups: &str, root: &Path) -> Option<u64> {
    let limit = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let own = root.join(group.trim_start_matches('/'));
        let above = own.ancestors().take_while(|folder| folder.starts_with(&root));
        // "max" stands for no limit.
        above.filter_map(|folder| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()).min()
    };
    groups.lines().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_above_a_group_counts_under_both_versions() {
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
        let limit = |groups: &str| limit_of_group(groups, folder.path());
        assert_eq!(limit("0::/a/b\n"), Some(3000));
        assert_eq!(limit("4:memory:/c\n3:cpu,cpuacct:/c\n0::/\n"), Some(2000));
        assert_eq!(limit("4:memory:/\n"), Some(9_223_372_036_854_771_712));
        assert_eq!(limit("0::/none\n"), None);
        assert_eq!(limit(""), None);
    }

    #[test]
    fn a_machine_says_how_much_it_has() {
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }
}
