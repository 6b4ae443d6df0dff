//! What the documents show is what Envoy takes: each YAML block of README.md is given to a real one.
//!
//! A block with `static_resources` is a whole configuration; one whose first fields are the plugin's is the plugin's
//! own, and goes into the smallest whole one.

use crate::support::recipe::Recipe;
use crate::support::{root, turn};
use serde_json::Value;

const PLUGIN_FIELDS: [&str; 9] =
    ["mode", "namespace", "l1", "l2", "refresh", "l3", "admin", "defaults", "rules"];

/// The YAML blocks of a Markdown text, each with the line it begins at.
fn blocks(markdown: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in markdown.lines().enumerate() {
        match (inside, line.trim_end()) {
            (false, "```yaml" | "```yml") => {
                inside = true;
                blocks.push((number + 1, String::new()));
            }
            (true, "```") => inside = false,
            (true, line) => blocks.last_mut().expect("one was begun").1 += &format!("{line}\n"),
            (false, _) => {}
        }
    }
    assert!(!inside, "a block does not end");
    blocks
}

/// The whole configuration that a block is, or belongs into.
fn whole(block: &Value) -> Option<Recipe> {
    let fields: Vec<&String> = block.as_object()?.keys().collect();
    if fields.iter().any(|field| *field == "static_resources") {
        return Some(Recipe::from_yaml(&block.to_string()));
    }
    let of_the_plugin = fields.iter().all(|field| PLUGIN_FIELDS.contains(&field.as_str()));
    of_the_plugin.then(|| Recipe::minimal().plugin_exactly(block.clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_yaml_block_of_the_readme_is_one_that_envoy_takes() {
    let _turn = turn::shared().await;
    let Ok(readme) = std::fs::read_to_string(root().join("README.md")) else { return };
    for (line, text) in blocks(&readme) {
        let block: Value =
            serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("line {line}: {error}"));
        let recipe = whole(&block).unwrap_or_else(|| {
            panic!("line {line}: neither a whole configuration nor the plugin's own:\n{text}")
        });
        eprintln!("README.md, line {line}");
        // A start asks the plugin too, which `--mode validate` does not.
        let envoy = recipe.start().await;
        assert_eq!(envoy.vm_failures().await, 0);
    }
}
