// Package policy parses and evaluates bucket policies: JSON documents that allow or deny principals actions on resources under conditions (IAM User Guide, "Policy
// elements"; S3 User Guide, "Bucket policies").
//
// It is pure: no I/O, no clock, no globals that change. [Parse] checks a document whole and says where it is wrong; what it accepts it understands: an action, condition key or
// operator that this package does not know is refused, because a statement that silently never matches is a hole. [Policy.Decide] answers one question.
// A Policy is immutable and safe for concurrent use.
//
// # Rules of a decision
//
//  1. A statement matches when principal, action, resource and every condition match.
//  2. A matching Deny gives Deny, whatever else matches.
//  3. Otherwise a matching Allow gives Allow; otherwise None: ownership and access control lists decide.
//  4. A condition over a key that the request does not have is false; with a negated operator (StringNotEquals, ...), IfExists or ForAllValues it is true; ForAnyValue is false.
//  5. Several values of one key in the policy: any of them; with a negated operator none of them. Several operators or keys: all of them.
//  6. Text that comes from the request never acts as a wildcard, also where a policy variable puts it into a pattern.
package policy
