//! The five-minute tour of the README, its commands as they stand.

use crate::documented::{blocks, run};

/// Its folder is empty, and so is its home.
#[tokio::test]
async fn the_readme_s_tour_works_as_it_stands() {
    let readme = include_str!("../../../README.md");
    let tour = readme.split_once("<!-- tour:").expect("the README has a tour").1;
    let commands: Vec<&str> =
        blocks(tour).iter().filter(|block| block.language == "bash").map(|block| block.text).collect();
    assert!(commands.len() > 5);
    let folder = tempfile::tempdir().unwrap();
    let output = run(&format!("{}\necho the tour is over\n", commands.join("\n")), folder.path()).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = crate::shop::read(&folder.path().join("kuma-cp.log"));
    assert!(output.status.success() && stdout.contains("the tour is over"), "{stdout}\n{stderr}\n{log}");

    let count = |version: &str| {
        let line = stdout.lines().find(|line| {
            line.trim().ends_with(version) && line.trim().starts_with(|c: char| c.is_ascii_digit())
        });
        line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok()).unwrap_or_default()
    };
    let (v1, v2) = (count("backend v1"), count("backend v2"));
    assert!(v1 + v2 == 100 && v1 > v2, "a 90/10 split of 100 connections, not {v1}/{v2}:\n{stdout}");
    assert_eq!(stdout.matches("Online").count(), 3, "{stdout}");
}
