/** A template's own mistake at run time. Never leaves this room. */
export class TemplateFault extends Error {
  override readonly name = 'TemplateFault'
}

/** The template called raise_exception: the messages are not what it accepts. Never leaves this room. */
export class TemplateRefusal extends Error {
  override readonly name = 'TemplateRefusal'
}
