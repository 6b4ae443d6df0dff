//! What the suite's questions came to, what was expected of them, and where the two differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

/// What one question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The suite's group of questions.
    pub group: String,
    /// The question's name, unique in the suite.
    pub id: String,
    /// `required`, `optimal` or `check`: must a cache, should it, or does the suite only want to know?
    pub kind: String,
    /// The suite's verdict.
    pub result: String,
    /// What the suite found instead of what it looked for; it may show the time, and so differ from run to run.
    pub message: String,
}

impl Answer {
    /// Reads a line of the client.
    pub fn parse(line: &str) -> Option<Self> {
        let [group, id, kind, result, message] = columns(line)?;
        Some(Self { group, id, kind, result, message })
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { group, id, kind, result, message } = self;
        write!(f, "{group}\t{id}\t{kind}\t{result}\t{message}")
    }
}

/// How many questions of each kind pass, in one line.
pub fn totals(answers: &[Answer]) -> String {
    let of = |kind: &str| {
        let all: Vec<_> = answers.iter().filter(|answer| answer.kind == kind).collect();
        let passed = all.iter().filter(|answer| is_pass(&answer.result)).count();
        format!("{passed} of {}", all.len())
    };
    format!("required {}, optimal {}, checks {} yes", of("required"), of("optimal"), of("check"))
}

/// What is expected, in the suite's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(Vec<Row>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    group: String,
    id: String,
    kind: String,
    result: String,
    reason: String,
}

const HEADING: &str = "group\tid\tkind\tresult\treason";

impl Table {
    /// Reads a table.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(HEADING), "the table's heading");
        let rows = lines.map(|line| {
            let [group, id, kind, result, reason] =
                columns(line).unwrap_or_else(|| panic!("five columns, parted by tabs, are expected: {line}"));
            Row { group, id, kind, result, reason }
        });
        Self(rows.collect())
    }

    /// The table that expects these answers. Reasons stay where there is still something to explain.
    #[must_use]
    pub fn updated(&self, answers: &[Answer]) -> Self {
        let reasons: BTreeMap<_, _> = self.0.iter().map(|row| (&row.id, &row.reason)).collect();
        let rows = answers.iter().map(|Answer { group, id, kind, result, .. }| {
            let reason = reasons.get(id).filter(|_| !is_pass(result)).copied().cloned().unwrap_or_default();
            Row { group: group.clone(), id: id.clone(), kind: kind.clone(), result: result.clone(), reason }
        });
        Self(rows.collect())
    }

    /// Each question that did not end as expected in each of these runs, for the worse or for the better.
    pub fn differences(&self, runs: &[Vec<Answer>]) -> Vec<Difference> {
        let mut found: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
        for answer in runs.iter().flatten() {
            found.entry(&answer.id).or_default().push(answer);
        }
        let mut differences = Vec::new();
        for row in &self.0 {
            let answers = found.remove(row.id.as_str()).unwrap_or_default();
            let differs = |answer: &&Answer| (&answer.kind, &answer.result) != (&row.kind, &row.result);
            if answers.is_empty() || answers.iter().any(differs) {
                differences.push(Difference::new(&row.id, &row.kind, &row.result, &answers));
            }
        }
        let unknown = found.into_iter();
        differences
            .extend(unknown.map(|(id, answers)| Difference::new(id, &answers[0].kind, "nothing", &answers)));
        differences
    }

    /// The questions that do not pass and have no reason beside them. Checks need none: the suite only wants to know.
    pub fn unexplained(&self) -> Vec<&str> {
        let open = |row: &&Row| row.kind != "check" && !is_pass(&row.result) && row.reason.trim().is_empty();
        self.0.iter().filter(open).map(|row| row.id.as_str()).collect()
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}")?;
        for Row { group, id, kind, result, reason } in &self.0 {
            writeln!(f, "{group}\t{id}\t{kind}\t{result}\t{reason}")?;
        }
        Ok(())
    }
}

/// One question that did not end as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    id: String,
    kind: String,
    expected: String,
    /// All the runs' results, where they are not the same.
    found: String,
    message: String,
}

impl Difference {
    fn new(id: &str, kind: &str, expected: &str, answers: &[&Answer]) -> Self {
        let results: Vec<&str> = answers.iter().map(|answer| answer.result.as_str()).collect();
        let distinct: BTreeSet<&str> = results.iter().copied().collect();
        let found = match distinct.len() {
            0 => "not asked".to_owned(),
            1 => results[0].to_owned(),
            _ => results.join(", "),
        };
        let message = answers.iter().map(|answer| &answer.message).find(|message| !message.is_empty());
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            expected: expected.to_owned(),
            found,
            message: message.cloned().unwrap_or_default(),
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { id, kind, expected, found, message } = self;
        write!(f, "{kind:<9} {id:<50} expected {expected}, found {found}")?;
        if message.is_empty() { Ok(()) } else { write!(f, "  ({message})") }
    }
}

fn is_pass(result: &str) -> bool {
    ["pass", "yes"].contains(&result)
}

fn columns(line: &str) -> Option<[String; 5]> {
    line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(results: &[(&str, &str, &str)]) -> Vec<Answer> {
        let line = |(id, kind, result): &(&str, &str, &str)| format!("group\t{id}\t{kind}\t{result}\twhy");
        results.iter().map(|answer| Answer::parse(&line(answer)).unwrap()).collect()
    }

    fn differing(table: &Table, runs: &[Vec<Answer>]) -> Vec<String> {
        let told = table.differences(runs).into_iter();
        told.map(|Difference { id, expected, found, .. }| format!("{id}: {expected} > {found}")).collect()
    }

    const EXPECTED: [(&str, &str, &str); 3] =
        [("a", "required", "pass"), ("b", "optimal", "optional-fail"), ("c", "check", "no")];

    #[test]
    fn a_difference_is_told_in_either_direction() {
        let table = Table::default().updated(&answers(&EXPECTED));
        assert_eq!(differing(&table, &[answers(&EXPECTED), answers(&EXPECTED)]), [""; 0]);
        let worse = answers(&[("a", "required", "fail"), EXPECTED[1], EXPECTED[2]]);
        assert_eq!(differing(&table, &[worse]), ["a: pass > fail"]);
        let better = answers(&[EXPECTED[0], ("b", "optimal", "pass"), ("c", "check", "yes")]);
        assert_eq!(differing(&table, &[better]), ["b: optional-fail > pass", "c: no > yes"]);
    }

    #[test]
    fn a_question_answered_differently_in_one_run_of_three_is_a_difference() {
        let table = Table::default().updated(&answers(&EXPECTED));
        let other = answers(&[("a", "required", "dependency-fail"), EXPECTED[1], EXPECTED[2]]);
        let runs = [answers(&EXPECTED), other, answers(&EXPECTED)];
        assert_eq!(differing(&table, &runs), ["a: pass > pass, dependency-fail, pass"]);
    }

    #[test]
    fn a_question_that_came_or_went_or_changed_its_kind_is_a_difference() {
        let table = Table::default().updated(&answers(&EXPECTED));
        let asked = answers(&[EXPECTED[0], ("c", "required", "no"), ("d", "check", "yes")]);
        assert_eq!(
            differing(&table, &[asked]),
            ["b: optional-fail > not asked", "c: no > no", "d: nothing > yes"]
        );
    }

    #[test]
    fn an_update_keeps_the_reasons_of_what_still_fails() {
        let text = format!("{HEADING}\ng\ta\trequired\tfail\tone\ng\tb\toptimal\toptional-fail\ttwo\n");
        let table = Table::parse(&text);
        assert_eq!(table.to_string(), text);
        let found = answers(&[("a", "required", "dependency-fail"), ("b", "optimal", "pass")]);
        let updated = table.updated(&found);
        assert_eq!(
            updated.to_string(),
            format!("{HEADING}\ngroup\ta\trequired\tdependency-fail\tone\ngroup\tb\toptimal\tpass\t\n")
        );
        assert_eq!(differing(&updated, &[found]), [""; 0]);
    }

    #[test]
    fn what_does_not_pass_needs_a_reason_unless_it_is_a_check() {
        let all = answers(&[EXPECTED[0], EXPECTED[1], EXPECTED[2], ("d", "required", "setup-fail")]);
        assert_eq!(Table::default().updated(&all).unexplained(), ["b", "d"]);
    }

    #[test]
    fn totals_count_what_passes_by_kind() {
        let all = answers(&[EXPECTED[0], ("d", "required", "fail"), EXPECTED[1], ("e", "check", "yes")]);
        assert_eq!(totals(&all), "required 1 of 2, optimal 0 of 1, checks 1 of 1 yes");
    }
}
